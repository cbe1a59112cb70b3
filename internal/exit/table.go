package exit

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// An Entry is one row of the table.
type Entry struct {
	Code    int
	Name    string // sysexits(3), where it has one
	Meaning string
	Do      string // what the operator does about it
}

// Table is every code that interlock itself ends with, in order.
func Table() []Entry {
	return []Entry{
		{OK, "OK", "the payload ended with 0, or the verb did what it was asked", "nothing"},
		{Usage, "USAGE", "wrong use of the command line, or an interlock that would queue for a lock that the interlock around it holds; of `lock clear`: not confirmed, or not everybody on record is named", "correct the command; `interlock help VERB` lists the flags"},
		{Damaged, "DATAERR", "the snapshot is damaged", "choose another snapshot; keep the damaged one for its cause"},
		{NoSnapshot, "NOINPUT", "no snapshot matches", "list the snapshots; a first start without any must be allowed explicitly"},
		{Unreachable, "UNAVAILABLE", "the lock service, the snapshot store or a memcached cannot be reached, or does not do its work; or the address of --listen is taken", "check its address and health with `interlock doctor`; a restart may succeed"},
		{Internal, "SOFTWARE", "an error inside interlock, or what a verb prints cannot be written", "see where standard output goes if the message speaks of that, else report it with the log; a restart is safe"},
		{Mount, "OSFILE", "a mount is missing or is not the right one, or the device did not come up", "mount it, or correct --mount; nothing was created in the bare directory; for a device do what the reason says (docs/mounts.md, Devices)"},
		{Restore, "CANTCREAT", "a restore, a backup or the pre_start hook failed or was refused, or the state of the data directory cannot be known; of `install`: the file cannot be written", "read the decision in the log; repair the data directory by hand if it says so"},
		{MountLost, "IOERR", "a mount was lost while the payload ran", "find out why the storage went away; a restart checks it again"},
		{Held, "TEMPFAIL", "another holder has the lock, and --lock-wait is over; of the verbs for snapshots also: the run beside is not serving, or another backup is at work", "wait, or see who holds it with `interlock lock show`"},
		{Lost, "PROTOCOL", "the lease was lost, or a later holder fenced this one off", "a restart queues again; look for what kept the heartbeats from the lock service"},
		{Credentials, "NOPERM", "the lock service or the store refused the credentials, or no identity that was given opens an encrypted repository", "correct user, password file, certificate, rights or identity file; a restart alone cannot help"},
		{Config, "CONFIG", "the configuration is bad, or cannot work with what the lock service holds", "correct what the message names; `interlock check-config` shows all errors at once"},
		{CannotRun, "", "the command exists but cannot be executed", "check its mode, its interpreter and the user it runs as"},
		{NotFound, "", "the command does not exist", "correct the command after --, or PATH"},
	}
}

const passThrough = "Every other code is the payload's own. A payload that signal n ended gives 128+n."

// Text is the table for a terminal.
func Text() string {
	var b strings.Builder
	for _, e := range Table() {
		fmt.Fprintf(&b, "%4d  %-12s %s\n%18s -> %s\n", e.Code, e.Name, e.Meaning, "", e.Do)
	}
	return b.String() + passThrough + "\n"
}

// Docs is docs/exit-codes.md.
func Docs() []byte {
	var b bytes.Buffer
	b.WriteString(`# Exit codes

<!-- Made from the table in internal/exit; change that, then run: go test ./internal/exit -update -->

interlock's own codes carry the names of sysexits(3). The reason, one line, is on stderr and in the file
that ` + "`--reason-file`" + ` names.

| Code | Name | Meaning | What to do |
|-----:|------|---------|------------|
`)
	for _, e := range Table() {
		name := e.Name
		if name != "" {
			name = "EX_" + name
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", strconv.Itoa(e.Code), name, e.Meaning, e.Do)
	}
	fmt.Fprintf(&b, "\n%s\n", passThrough)
	return b.Bytes()
}
