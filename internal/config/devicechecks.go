package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func nbdExport(v any) string {
	s, _ := v.(string)
	if s == "" {
		return ""
	}
	at, export, _ := strings.Cut(s, "/")
	if !hostPort(at) || oneLine(s) != "" || strings.ContainsAny(s, " ?#") || strings.Contains(s, "://") || strings.HasPrefix(at, "-") || strings.HasPrefix(export, "-") {
		return "HOST[:PORT][/EXPORT], such as nbd-1:10809/orders"
	}
	return ""
}

// splitPort is host and port of what hostPort has accepted.
func splitPort(at string) (host string, port int) {
	i := strings.LastIndex(at, ":")
	if i < 0 || strings.HasSuffix(at, "]") {
		return at, 0
	}
	port, err := strconv.Atoi(at[i+1:])
	if err != nil {
		return at, 0
	}
	return at[:i], port
}

// words are the words of a command, those of a script for a shell too.
func words(command []string) []string { return strings.Fields(strings.Join(command, " ")) }

// attachCommand refuses what the nbd driver must not be told, and what would leave a process in the kill domain
// that serves the device.
func attachCommand(v any) string {
	list, _ := v.([]string)
	all := words(list)
	for i, w := range all {
		switch filepath.Base(w) {
		case "nbd-client":
			if expected := nbdClient(all[i+1:]); expected != "" {
				return expected
			}
		case "qemu-nbd", "rbd-nbd", "nbdfuse":
			return "a command that leaves no process behind: what " + filepath.Base(w) + " starts would serve the device from within the kill domain, and be killed with the payload: start it as a service of its own, and attach what it serves"
		}
	}
	return argv(v)
}

func nbdClient(args []string) string {
	for i, a := range args {
		name, value, joined := strings.Cut(strings.TrimLeft(a, "-"), "=")
		if !strings.HasPrefix(a, "-") {
			continue
		}
		if !joined && i+1 < len(args) {
			value = args[i+1]
		}
		switch name {
		case "persist", "p":
			return "nbd-client without -persist, which does not save a filesystem: its journal is aborted by the first error"
		case "connections", "C":
			if value != "1" {
				return "nbd-client with one connection: more of them are only safe with a server that promises it, and never let two nodes in"
			}
		}
	}
	timed := func(a string) bool {
		name, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
		return strings.HasPrefix(a, "-") && (name == "timeout" || name == "t")
	}
	if !slices.ContainsFunc(args, timed) {
		return "nbd-client with -timeout SECONDS, without which nothing frees those who wait for a server that is gone; or device.attach.nbd, which does all of it"
	}
	return ""
}

func deviceNode(v any) string {
	s, _ := v.(string)
	if s == "" || strings.HasPrefix(s, "/dev/") && absolute(s) == "" {
		return ""
	}
	return "a path below /dev"
}

func uuid(v any) string {
	s, _ := v.(string)
	const form = "00000000-0000-0000-0000-000000000000"
	if s == "" {
		return ""
	}
	if len(s) != len(form) {
		return "a UUID such as 6d1c2f0e-5f6f-4c8e-9a53-0c9d1a7f2b10, as blkid -p shows it"
	}
	for i, c := range strings.ToLower(s) {
		if (form[i] == '-') != (c == '-') || c != '-' && !strings.ContainsRune("0123456789abcdef", c) {
			return "a UUID such as 6d1c2f0e-5f6f-4c8e-9a53-0c9d1a7f2b10, as blkid -p shows it"
		}
	}
	return ""
}

// deviceOpts refuses what takes from a filesystem what a service relies on, and what is no option of a mount
// of a device.
func deviceOpts(v any) string {
	list, _ := v.([]string)
	for _, o := range list {
		if o == "" || oneLine(o) != "" || strings.ContainsAny(o, ", ") || strings.HasPrefix(o, "!") {
			return "mount options such as noatime, one in each element"
		}
		name, _, _ := strings.Cut(o, "=")
		for _, bad := range refusedOpts() {
			if o == bad.option || name == bad.option {
				return fmt.Sprintf("mount options without %s: %s", o, bad.why)
			}
		}
	}
	return ""
}

type refusedOpt struct{ option, why string }

func refusedOpts() []refusedOpt {
	const damaged = "the filesystem would be written on after an error in its own structures"
	const unflushed = "what was synced would not be on the device yet"
	const unreplayed = "the journal would not be replayed, and what was synced be missing"
	const other = "it is no mount of the device"
	const another = "mount(8) would make a second device for it, and mount that"
	return []refusedOpt{
		{"errors=continue", damaged}, {"nobarrier", unflushed}, {"barrier=0", unflushed},
		{"noload", unreplayed}, {"norecovery", unreplayed}, {"ro", "the claim is written there"},
		{"nouuid", "it lets a copy of a filesystem be mounted beside the original: give the copy a UUID of its own (xfs_admin -U generate)"},
		{"bind", other}, {"rbind", other}, {"remount", other}, {"move", other}, {"loop", "attach it with losetup as device.attach.exec"},
		{"offset", another}, {"sizelimit", another}, {"X-mount.subdir", other},
	}
}

// fsckCommand refuses what throws away data without a person's decision.
func fsckCommand(v any) string {
	list, _ := v.([]string)
	all := words(list)
	for i, w := range all {
		for _, bad := range []struct{ program, option, why string }{
			{"xfs_repair", "-L", "it throws the log away, and with it what was synced"},
			{"e2fsck", "-y", "it says yes to whatever is lost"}, {"fsck.ext4", "-y", "it says yes to whatever is lost"}, {"fsck", "-y", "it says yes to whatever is lost"},
			{"tune2fs", "clear_mmp", "another node may be using the filesystem"},
		} {
			if filepath.Base(w) == bad.program && slices.Contains(all[i+1:], bad.option) {
				return fmt.Sprintf("a command without %s %s: %s: that is for a person to decide", bad.program, bad.option, bad.why)
			}
		}
	}
	return argv(v)
}

// verifyDevice checks what belongs together.
func (l *loader) verifyDevice() {
	d := l.cfg.Device
	if !d.Wanted() {
		l.verifyNoDevice()
		return
	}
	where := "device.attach.nbd"
	if d.Attach.NBD == "" {
		where = "device.attach.exec"
		l.needs(where, "device.detach.exec", strings.Join(d.Detach.Exec, " "), "the command that detaches it")
	} else {
		l.verifyNBD()
	}
	l.needs(where, "device.attach.dev", d.Attach.Dev, "what the device is called")
	l.needs(where, "device.mount.path", d.Mount.Path, "where it is to be mounted")
	l.needs(where, "device.state_dir", d.StateDir, "where is noted what was attached here")
	l.verifyFsck()
	l.verifyDevicePlaces()
}

func (l *loader) verifyNBD() {
	a := l.cfg.Device.Attach
	for _, exec := range []struct {
		key  string
		list []string
	}{{"device.attach.exec", a.Exec}, {"device.detach.exec", l.cfg.Device.Detach.Exec}} {
		if len(exec.list) > 0 && !l.bad[exec.key] {
			l.problem(l.place(exec.key), "found together with device.attach.nbd: expected one way to attach")
		}
	}
	if number, is := strings.CutPrefix(a.Dev, "/dev/nbd"); a.Dev != "" && (!is || strings.Trim(number, "0123456789") != "" || number == "") && !l.bad["device.attach.dev"] {
		l.problem(l.place("device.attach.dev"), mismatch(a.Dev, "a device of the nbd driver, such as /dev/nbd0"))
	}
}

func (l *loader) verifyFsck() {
	d := l.cfg.Device
	switch command := len(d.FsckExec) > 0; {
	case l.bad["device.fsck"] || l.bad["device.fsck_exec"]:
	case d.Fsck == FsckCommand && !command:
		l.problem(l.place("device.fsck"), "device.fsck_exec is missing: expected the command")
	case d.Fsck != FsckCommand && command:
		l.problem(l.place("device.fsck_exec"), "only device.fsck command runs it: expected that, too")
	}
}

// verifyDevicePlaces: nothing that must be there before the device, or without it, may lie on it; and what is
// said about its mount elsewhere must not contradict.
func (l *loader) verifyDevicePlaces() {
	d := l.cfg.Device
	for _, p := range []struct{ key, path string }{
		{"device.state_dir", d.StateDir}, {"lock.url", strings.TrimPrefix(l.cfg.Lock.URL, "file://")}, {"health.listen", strings.TrimPrefix(l.cfg.Health.Listen, "unix:")},
		{"health.reason_file", l.cfg.Health.ReasonFile}, {"store.url", storeDir(l.cfg.Store.URL)},
	} {
		if path := p.path; !l.bad[p.key] && below(path, d.Mount.Path) {
			l.problem(l.place(p.key), fmt.Sprintf("%q lies on the device, which is not there all the time: expected a place outside %q", shorten(path), shorten(d.Mount.Path)))
		}
	}
	for _, m := range l.cfg.Mounts {
		if m.Path == d.Mount.Path && m.FSType != "" && m.FSType != d.FSType {
			l.problem(l.place("mounts"), fmt.Sprintf("fstype %s of %q contradicts device.fstype %s", m.FSType, shorten(m.Path), d.FSType))
		}
		if m.Path == d.Mount.Path && m.UUID != "" && d.UUID != "" && !strings.EqualFold(m.UUID, d.UUID) {
			l.problem(l.place("mounts"), fmt.Sprintf("uuid %s of %q contradicts device.uuid %s", m.UUID, shorten(m.Path), d.UUID))
		}
		if m.Path != d.Mount.Path && d.Mount.Path != "" && below(m.Path, d.Mount.Path) {
			l.problem(l.place("mounts"), fmt.Sprintf("%q lies on the device, which is unmounted at the end: expected no other mount there", shorten(m.Path)))
		}
	}
	if l.cfg.StateDir != "" && l.cfg.Data != "" && below(l.cfg.Data, d.Mount.Path) != below(l.cfg.StateDir, d.Mount.Path) {
		l.problem(l.place("state_dir"), fmt.Sprintf("data and state directory are not both on the device mounted at %q: expected them on one filesystem", shorten(d.Mount.Path)))
	}
}

// below tells whether path is dir or lies in it, by text.
func below(path, dir string) bool {
	return dir != "" && (path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/"))
}

// verifyNoDevice refuses what would have no effect.
func (l *loader) verifyNoDevice() {
	if l.bad["device.attach.nbd"] || l.bad["device.attach.exec"] {
		return
	}
	for _, f := range deviceFields() {
		if l.isSet(f.Key) && !l.standsAtDefault(f.Key) && !l.bad[f.Key] {
			l.problem(l.place(f.Key), "device.attach.nbd or device.attach.exec is missing: there is no device")
		}
	}
}
