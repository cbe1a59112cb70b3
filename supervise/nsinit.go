package supervise

import (
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// NamespaceInit is the whole of the process that is PID 1 of the kill domain's namespace: it forks
// gates on the guard's order, reaps everything, and ends, with all that is in the namespace, when the
// guard's end of its socket closes.
func NamespaceInit() int {
	runtime.LockOSThread() // its children's PDEATHSIG is this thread's end
	if os.Getpid() != 1 || len(os.Args) < 3 {
		return exitUsage
	}
	fd, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return exitUsage
	}
	c, err := openConn(fd)
	if err != nil {
		return exitInternal
	}
	n, err := newNursery(os.Args[2:], os.Environ(), fd)
	if err != nil {
		return exitInternal
	}
	child := make(chan os.Signal, 1)
	signal.Notify(child, unix.SIGCHLD)
	holdSignals()
	if unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0) != nil {
		return exitInternal
	}
	return (&nsLoop{n, c}).run(child)
}

type nsLoop struct {
	*nursery
	guard *conn
}

func (l *nsLoop) run(child <-chan os.Signal) int {
	orders := make(chan packet)
	go l.read(orders) // joined by the end of the process
	for {
		select {
		case m, ok := <-orders:
			if !ok || !l.obey(m) {
				return 0
			}
		case <-child:
			if !l.reap() {
				return 0
			}
		}
	}
}

// read ends the process itself at the guard's end: the loop may be waiting in a send.
func (l *nsLoop) read(orders chan<- packet) {
	defer os.Exit(0)
	buf := make([]byte, maxMessage)
	for {
		m, err := l.guard.recv(buf)
		if err != nil {
			return
		}
		orders <- m
	}
}

func (l *nsLoop) obey(m packet) bool {
	defer m.close()
	u := &unpacker{b: m.body}
	switch u.num() {
	case msgStart:
		l.foreground = u.flag()
		s, has := u.spec()
		if u.err() != nil || !attach(&s, has, m.files, 1) {
			return false
		}
		if errno := l.nursery.start(s, m.files[0]); errno != 0 {
			return l.guard.send(pack(msgFailed).num(uint64(s.ID)).num(uint64(errno))) == nil
		}
	case msgEnv:
		if len(m.files) != 1 || l.equip(m.files[0]) != nil {
			return false
		}
		m.files = nil
	case msgSpare:
		l.foreground = u.flag()
		l.prepare()
	case msgSignal:
		id, sig, group := uint32(u.num()), syscall.Signal(u.int()), u.flag()
		l.signal(id, sig, group)
	}
	return u.err() == nil
}

func (l *nsLoop) equip(env *os.File) (err error) {
	l.envFile = env
	l.env, err = readEnv(env)
	return err
}

// attach puts passed descriptors back where the sender's spec had them; skip are not streams.
func attach(s *Spec, has [3]bool, files []*os.File, skip int) bool {
	if len(files) < skip {
		return false
	}
	files = files[skip:]
	for i, to := range []**os.File{&s.Stdin, &s.Stdout, &s.Stderr} {
		if !has[i] {
			continue
		}
		if len(files) == 0 {
			return false
		}
		*to, files = files[0], files[1:]
	}
	return len(files) == 0
}

func (l *nsLoop) reap() bool {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG|unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid == 0 {
			return true
		}
		id, ok := l.reaped(pid)
		if ok && l.guard.send(pack(msgExited).num(uint64(id)).num(uint64(status))) != nil {
			return false
		}
	}
}
