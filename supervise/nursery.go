package supervise

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Names that mark the roles of our one binary, in argv[0].
const (
	RoleAgent  = "interlock-agent"
	RoleInit   = "interlock-init"
	RoleGate   = "interlock-gate"
	RoleSpare  = "interlock-spare" // for the payload
	RoleProbe  = "interlock-probe"
	RoleWorker = "interlock-worker"
	// RoleCourier needs the whole program: it is dispatched by main, when all is initialised.
	RoleCourier = "interlock-courier"

	RoleWorkerSpare = "interlock-spare-worker"
)

const selfExe = "/proc/self/exe"

// A nursery is the one place where processes of the kill domain are started, in the guard or in the
// namespace's init. It belongs to the thread that waits for them.
type nursery struct {
	argv       []string // the guard's own: a payload is a tail of it
	env        []string // scrubbed
	inherited  []int    // descriptors above 2 that were open when we started
	null       *os.File
	foreground bool // stdin is a terminal whose foreground is ours: the payload gets it
	pids       map[int]uint32
	spares     []spare  // in a namespace's init
	envFile    *os.File // there too: env, for the spares
}

// newNursery must be called before anything opens a descriptor that is not close-on-exec.
func newNursery(argv, env []string, except int) (*nursery, error) {
	inherited, err := inheritedFiles(except)
	if err != nil {
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &nursery{argv: argv, env: env, inherited: inherited, null: null,
		foreground: ownsForeground(), pids: map[int]uint32{}}, nil
}

// inheritedFiles finds what came in above 2 and marks it close-on-exec: it is for the payload alone.
func inheritedFiles(except int) ([]int, error) {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var found []int
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil || fd <= 2 || fd == except {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.CloseOnExec(fd)
			found = append(found, fd)
		}
	}
	return found, passable(found)
}

// passable: what was opened before the limit was lowered stays open, but cannot be given its number again.
func passable(files []int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	for _, fd := range files {
		if uint64(fd) >= limit.Max {
			return fmt.Errorf("descriptor %d was open at the start, and the limit of open files is %d: close it before, or raise the limit", fd, limit.Max)
		}
	}
	return nil
}

// layout places std at 0 to 2, the control end at the lowest free number, and, for those that get
// them, the inherited descriptors at their own numbers. Everything else of ours is close-on-exec.
func (n *nursery) layout(std [3]uintptr, control uintptr, inherit bool) (files []uintptr, slot int) {
	taken := map[int]bool{}
	top := 3
	if inherit {
		for _, fd := range n.inherited {
			taken[fd] = true
			top = max(top, fd)
		}
	}
	for slot = 3; taken[slot]; slot++ {
		top = max(top, slot+1)
	}
	files = make([]uintptr, top+1)
	for i := range files {
		files[i] = ^uintptr(0) // closed in the child
		if taken[i] {
			files[i] = uintptr(i)
		}
	}
	copy(files, std[:])
	files[slot] = control
	return files, slot
}

// command is the argv of a spec, taken from the guard's own for the payload.
func (n *nursery) command(s Spec) ([]string, syscall.Errno) {
	argv := s.Argv
	if s.ArgvFrom > 0 && s.ArgvFrom < len(n.argv) {
		argv = n.argv[s.ArgvFrom:]
	}
	switch {
	case s.Courier:
		return append([]string{RoleCourier}, argv...), 0
	case s.Worker:
		return append([]string{RoleWorker}, argv...), 0
	}
	if len(argv) == 0 || argv[0] == "" || s.ArgvFrom > 0 && s.ArgvFrom >= len(n.argv) {
		return nil, syscall.EINVAL
	}
	return argv, 0
}

// start forks the gate of a spec. The gate waits at its control end; nothing has been given yet.
func (n *nursery) start(s Spec, control *os.File) syscall.Errno {
	argv, errno := n.command(s)
	if errno != 0 {
		return errno
	}
	if s.Payload {
		defer n.passedOn() // a pipe's other end must see the payload's close, not ours
	}
	if n.takeSpare(s, control) {
		return 0
	}
	files, slot := n.layout(n.streams(s), control.Fd(), s.Payload)
	pid, err := syscall.ForkExec(selfExe, append([]string{RoleGate, strconv.Itoa(slot)}, argv...), &syscall.ProcAttr{
		Env:   merge(n.env, s.Env),
		Files: files,
		Sys:   &syscall.SysProcAttr{Setpgid: true, Foreground: s.Payload && n.foreground && s.Stdin == nil},
	})
	if err != nil {
		return asErrno(err)
	}
	n.pids[pid] = s.ID
	return 0
}

func (n *nursery) streams(s Spec) [3]uintptr {
	std := [3]uintptr{0, 1, 2}
	if !s.Payload {
		std = [3]uintptr{n.null.Fd(), 2, 2}
	}
	for i, f := range []*os.File{s.Stdin, s.Stdout, s.Stderr} {
		if f != nil {
			std[i] = f.Fd()
		}
	}
	return std
}

// passedOn lets go of what was only for the payload.
func (n *nursery) passedOn() {
	n.dropSpares()
	n.closeInherited()
}

func (n *nursery) closeInherited() {
	for _, fd := range n.inherited {
		_ = unix.Close(fd) // only passed on; nothing was written through it here
	}
	n.inherited = nil
}

// reaped tells whose exit a pid's was. The number is free again from here on.
func (n *nursery) reaped(pid int) (uint32, bool) {
	n.forgetSpare(pid)
	id, ok := n.pids[pid]
	delete(n.pids, pid)
	return id, ok
}

// signal reaches a process that has not been reaped, so the number cannot be somebody else's.
func (n *nursery) signal(id uint32, sig syscall.Signal, group bool) {
	for pid, owner := range n.pids {
		if owner != id {
			continue
		}
		if group {
			_ = unix.Kill(-pid, sig) // ESRCH: the group is gone, which is what was wanted
		}
		signalPID(pid, sig)
	}
}

func asErrno(err error) syscall.Errno {
	if errno, ok := err.(syscall.Errno); ok {
		return errno
	}
	return syscall.EIO
}

// merge appends ours; of one name the last one counts, also where a reader takes the first.
func merge(inherited, ours []string) []string {
	own := map[string]bool{}
	for _, kv := range ours {
		name, _, _ := strings.Cut(kv, "=")
		own[name] = true
	}
	env := make([]string, 0, len(inherited)+len(ours))
	for _, kv := range inherited {
		if name, _, _ := strings.Cut(kv, "="); !own[name] {
			env = append(env, kv)
		}
	}
	return append(env, ours...)
}

// scrub takes out our own variables and the names of secrets.
func scrub(env, names []string) []string {
	secret := map[string]bool{linkVariable: true}
	for _, name := range names {
		secret[name] = true
	}
	kept := make([]string, 0, len(env))
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if !secret[name] && !strings.HasPrefix(name, "INTERLOCK_") {
			kept = append(kept, kv)
		}
	}
	return kept
}
