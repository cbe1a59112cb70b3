package supervise

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/interlock-run/interlock/internal/clock"
	"golang.org/x/sys/unix"
)

// A spare is a gate that was forked ahead by a namespace's init: a runtime that has started already
// when the order comes. It has done nothing and holds nothing but what its kind of process inherits;
// which process it is to be, with which environment, comes over its link, then it says hello, and the go comes after the clock
// was read as for any other (E4). It lies in the namespace, so it dies with it. There is none in the
// other modes: a take-over finds processes by the environment that they were forked with.
type spare struct {
	pid     int
	payload bool
	link    *conn
}

// prepare forks a spare for the payload and one for the first worker. An error leaves fewer spares.
func (n *nursery) prepare() {
	if !n.foreground { // the terminal is handed over at the fork
		n.addSpare(true, append([]string{RoleSpare}, n.argv...))
	}
	n.addSpare(false, []string{RoleWorkerSpare})
}

func (n *nursery) addSpare(payload bool, argv []string) {
	near, far, err := newPair()
	if err != nil {
		return
	}
	defer far.Close()
	files, slot := n.layout(n.streams(Spec{Payload: payload}), far.Fd(), payload)
	argv = append([]string{argv[0], strconv.Itoa(slot)}, argv[1:]...)
	pid, err := syscall.ForkExec(selfExe, argv, &syscall.ProcAttr{Files: files, Env: clock.Inherited(),
		Sys: &syscall.SysProcAttr{Setpgid: true}})
	if err != nil {
		_ = near.close()
		return
	}
	n.spares = append(n.spares, spare{pid, payload, near})
}

// takeSpare gives a spec to a spare of its kind.
func (n *nursery) takeSpare(s Spec, control *os.File) bool {
	for i, sp := range n.spares {
		if n.envFile == nil || sp.payload != s.Payload || !s.Payload && (!s.Worker || s.Courier) {
			continue
		}
		n.spares = append(n.spares[:i:i], n.spares[i+1:]...)
		files := []*os.File{control, n.envFile}
		for _, f := range []*os.File{s.Stdin, s.Stdout, s.Stderr} {
			if f != nil {
				files = append(files, f)
			}
		}
		full, err := sp.link.trySend(pack(msgStart).spec(s), files...)
		_ = sp.link.close()
		if full || err != nil {
			return false // it has ended, or will now: nothing was ordered
		}
		n.pids[sp.pid] = s.ID
		return true
	}
	return false
}

// dropSpares ends those that were not needed.
func (n *nursery) dropSpares() {
	for _, sp := range n.spares {
		_ = sp.link.close()
	}
	n.spares = nil
}

// forgetSpare: its number is free again.
func (n *nursery) forgetSpare(pid int) {
	for i, sp := range n.spares {
		if sp.pid == pid {
			_ = sp.link.close()
			n.spares = append(n.spares[:i:i], n.spares[i+1:]...)
			return
		}
	}
}

// Spare is the whole of a gate that was forked ahead. It ends when its init is gone or has no use for it.
func Spare() int {
	runtime.LockOSThread()
	if len(os.Args) < 2 {
		return exitUsage
	}
	fd, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return exitUsage
	}
	link, err := openConn(fd)
	if err != nil {
		return exitInternal
	}
	holdSignals()
	m, err := link.recv(make([]byte, maxMessage))
	if err != nil || link.close() != nil {
		return exitInternal
	}
	u := &unpacker{b: m.body}
	kind := u.num()
	s, has := u.spec()
	if kind != msgStart || u.err() != nil || len(m.files) < 2 || !attach(&s, has, m.files, 2) {
		return exitInternal
	}
	env, err := readEnv(m.files[1])
	if err != nil || m.files[1].Close() != nil {
		return exitInternal
	}
	return s.assume(m.files[0], merge(env, s.Env))
}

// assume makes the spare what a gate is that was forked for this spec.
func (s Spec) assume(control *os.File, env []string) int {
	argv, errno := (&nursery{argv: os.Args[2:]}).command(s)
	if errno != 0 {
		return exitInternal
	}
	fd, err := unix.FcntlInt(control.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil || control.Close() != nil {
		return exitInternal
	}
	c, err := openConn(fd)
	if err != nil || s.takeStreams() != nil {
		return exitInternal
	}
	if s.Worker { // it may go on in this process
		for _, kv := range env {
			if name, value, ok := strings.Cut(kv, "="); ok && name != "" && os.Setenv(name, value) != nil {
				return exitInternal
			}
		}
	}
	return passThrough(c, argv, env)
}

// takeStreams puts the streams of the spec in the place of those that the spare was forked with.
func (s Spec) takeStreams() error {
	for i, f := range []*os.File{s.Stdin, s.Stdout, s.Stderr} {
		if f == nil {
			continue
		}
		if s.Worker { // os.Stdin and its brothers were made for streams that cannot be polled
			if err := unix.SetNonblock(int(f.Fd()), false); err != nil {
				return err
			}
		}
		if err := errors.Join(unix.Dup3(int(f.Fd()), i, 0), f.Close()); err != nil {
			return err
		}
	}
	return nil
}
