package supervise

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// hasten makes a namespace, and the first gates in it, while the agent is starting and nobody knows yet
// whether there shall be one. Nothing depends on it: Prepare makes another where this one is not there,
// and ends it where it is not wanted. Nothing runs in it before Prepare has announced it.
func (g *guard) hasten() {
	ns := g.newNamespace()
	in, err := ns.launch()
	if err != nil {
		return // asked for again, and told, by Prepare
	}
	ns.now = in
	ns.watch(in)
	ns.prepare()
	g.early = ns
}

// takeEarly returns the namespace that was made ahead, if it is still good for something.
func (g *guard) takeEarly() *pidns {
	ns := g.early
	if ns == nil || ns.now.reaped || ns.now.eof {
		g.dropEarly()
		return nil
	}
	g.early = nil
	return ns
}

// dropEarly ends it. No deadline is armed before Prepare, and nothing of others' is in it: so this waits.
func (g *guard) dropEarly() {
	if g.early == nil {
		return
	}
	in := g.early.now
	g.early = nil
	if !in.reaped {
		signalPID(in.pid, unix.SIGKILL)
		for err := error(unix.EINTR); errors.Is(err, unix.EINTR); {
			_, err = unix.Wait4(in.pid, nil, unix.WALL, nil)
		}
		in.reaped = true
	}
	in.unwanted = true
	if in.eof {
		_ = in.close() // sockets and a pidfd: nothing to lose
	}
}

// writeEnv puts an environment, which may be larger than any message, into a file without a name.
func writeEnv(env []string) (*os.File, error) {
	fd, err := unix.MemfdCreate("environment", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "environment")
	if _, err := f.WriteString(strings.Join(env, "\x00")); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func readEnv(f *os.File) ([]string, error) {
	st, err := f.Stat()
	if err != nil || st.Size() == 0 {
		return nil, err
	}
	b := make([]byte, st.Size())
	if _, err := f.ReadAt(b, 0); err != nil { // the offset is shared with others
		return nil, err
	}
	return strings.Split(string(b), "\x00"), nil
}
