package supervise

import (
	"os"
	"syscall"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
)

// Settings is what the agent tells the guard once, before anything can start.
type Settings struct {
	Isolate      string        // auto, pidns, cgroup or none
	Grace        time.Duration // G: TERM to KILL once the lease is lost
	KillBudget   time.Duration // K: kill and proof of death
	Scrub        []string      // names that the kill domain must not get, besides every INTERLOCK_*
	ReasonFile   string        // one line goes there when the guard ends the run by itself
	ReasonCreate bool          // the file was asked for by name: make it when it does not exist
}

// Lease is the deadline of one tenure: T_kill on both clocks. The payload gets TERM at Kill-Grace.
type Lease struct {
	Tenure uint64
	Kill   clock.Stamp
}

// Credential is who a process shall run as.
type Credential struct {
	UID, GID uint32
	Groups   []uint32
}

// Spec says what to start in the kill domain. Standard streams that are nil: the payload inherits the
// guard's, others read /dev/null and write to the guard's stderr.
type Spec struct {
	ID                    uint32
	Tenure                uint64
	Payload               bool
	Worker                bool     // our own binary as interlock-worker; Argv follows argv[0]
	Courier               bool     // with Worker: the heavy one, interlock-courier, which is given secrets in Env
	Argv                  []string // not for a payload with ArgvFrom
	ArgvFrom              int      // the payload is the tail of the guard's own argv from here
	Env                   []string // after the inherited, scrubbed ones
	PIDVariable           string   // name of a variable for the command's own pid as seen from outside; empty: none
	Dir                   string
	Credential            *Credential
	Stdin, Stdout, Stderr *os.File
}

// Domain describes the kill domain in force.
type Domain struct {
	Mode         string // pidns, pid1, cgroup2, cgroup1 or subreaper
	Why          string // why this one
	Misses       string // what it cannot catch
	InitPID      int    // pidns: its init as seen from outside, 0 while there is none
	Cgroup       string // cgroup modes: the directory
	PIDNamespace uint64 // pidns: inode of the namespace
}

// EventKind tells events apart.
type EventKind uint8

// Each event answers a call of the agent or reports what happened by itself.
const (
	Ready          EventKind = iota + 1 // Domain: chosen by Prepare, or a new namespace was made
	Started                             // ID, PID as seen from outside
	StartFailed                         // ID, Stage (refused, fork, cgroup, gate, late, chdir, credential, exec), Errno, Text
	Exited                              // ID, Status
	SignalReceived                      // Signal: TERM, INT or QUIT came to the guard
	Deadline                            // Tenure, Stage: term or kill
	Empty                               // Tenure: the domain is proven empty
	Stuck                               // PIDs: killed, not dead yet; repeated each second
	Dead                                // Tenure: proven, and nothing starts in it again
	Refused                             // Text: an order that the guard did not follow
	Leased                              // Tenure, Kill: the guard goes by this deadline now
)

// Event is what the guard tells the agent.
type Event struct {
	Kind   EventKind
	Tenure uint64
	ID     uint32
	PID    int
	Status syscall.WaitStatus
	Errno  syscall.Errno
	Stage  string
	Signal syscall.Signal
	PIDs   []int
	Domain Domain
	Kill   clock.Stamp
	Text   string
}

// Stages of StartFailed that callers tell apart.
const (
	StageRefused = "refused"
	StageExec    = "exec"
	StageGate    = "gate" // our own gate ended before it had become the command
)

// Stages of Deadline.
const (
	StageTerm = "term"
	StageKill = "kill"
)

// Proof is the outcome of a take-over.
type Proof struct {
	Proven bool
	How    string
}
