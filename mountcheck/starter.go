package mountcheck

import (
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// starter forks all helpers from one thread that lives as long as they: the kernel's parent-death signal
// follows the thread that forked, not the process.
type starter struct {
	requests chan startRequest
	stop     chan struct{}
	once     sync.Once
	ended    sync.WaitGroup
}

type startRequest struct {
	mount string
	reply chan started
}

type started struct {
	helper *helper
	err    error
}

func newStarter() *starter {
	s := &starter{requests: make(chan startRequest), stop: make(chan struct{})}
	s.ended.Add(1)
	go s.run()
	return s
}

func (s *starter) run() {
	defer s.ended.Done()
	runtime.LockOSThread()
	// Unlocked before the end: a thread that ends locked is destroyed, and its children with it.
	defer runtime.UnlockOSThread()
	for {
		select {
		case r := <-s.requests:
			h, err := startHelper(r.mount)
			r.reply <- started{h, err}
		case <-s.stop:
			return
		}
	}
}

func (s *starter) close() {
	s.once.Do(func() { close(s.stop) })
	s.ended.Wait()
}

func (s *starter) start(mount string) (*helper, error) {
	r := startRequest{mount: mount, reply: make(chan started, 1)}
	select {
	case s.requests <- r:
		got := <-r.reply
		return got.helper, got.err
	case <-s.stop:
		return nil, os.ErrClosed
	}
}

// startHelper gives the helper an empty environment (it must know no secret) and no stream of ours: one
// that cannot be killed would hold them open.
func startHelper(mount string) (*helper, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	far := os.NewFile(uintptr(pair[1]), "probe helper's end")
	defer far.Close()
	if err := unix.SetNonblock(pair[0], true); err != nil {
		unix.Close(pair[0])
		return nil, os.NewSyscallError("fcntl", err)
	}
	near := os.NewFile(uintptr(pair[0]), "probe helper")
	proc, err := fork(mount, far)
	if err != nil {
		near.Close()
		return nil, err
	}
	return newHelper(mount, proc, near), nil
}

func fork(mount string, far *os.File) (*os.Process, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	return os.StartProcess("/proc/self/exe", []string{probe.Name, mount}, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{"GOMAXPROCS=1", "GOTRACEBACK=none"},
		Files: []*os.File{null, null, null, far},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
}
