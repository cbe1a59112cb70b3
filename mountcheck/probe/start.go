package probe

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Helper is one process, and this process's ends of what it shares with it.
type Helper struct {
	Proc *os.Process
	Sock *os.File
	Page *Page
}

// Start forks a helper. The thread that calls it must live as long as the helper may. The helper gets an empty
// environment (it must know no secret) and no stream of ours: one that cannot be killed would hold them open.
// What, the mount, is only for who lists processes.
func Start(what ...string) (Helper, error) {
	proc, near, shared, err := start(what...)
	if err != nil {
		return Helper{}, err
	}
	defer shared.Close()
	page, err := mapPage(int(shared.Fd()))
	if err != nil {
		near.Close() // and so it ends
		_, waited := proc.Wait()
		return Helper{}, errors.Join(err, waited)
	}
	return Helper{proc, near, page}, nil
}

func start(what ...string) (proc *os.Process, near, shared *os.File, err error) {
	shared, err = newPage()
	if err != nil {
		return nil, nil, nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		shared.Close()
		return nil, nil, nil, os.NewSyscallError("socketpair", err)
	}
	far := os.NewFile(uintptr(pair[1]), "probe helper's end")
	defer far.Close()
	if err = unix.SetNonblock(pair[0], true); err == nil {
		near = os.NewFile(uintptr(pair[0]), "probe helper")
		if proc, err = fork(far, shared, append([]string{Name}, what...)); err == nil {
			return proc, near, shared, nil
		}
		near.Close()
	} else {
		unix.Close(pair[0])
	}
	shared.Close()
	return nil, nil, nil, err
}

func fork(far, shared *os.File, argv []string) (*os.Process, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	defer unhurried()()
	return os.StartProcess("/proc/self/exe", argv, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{"GOMAXPROCS=1", "GOTRACEBACK=none", "GODEBUG=asyncpreemptoff=1"},
		Files: []*os.File{null, null, null, far, shared},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
}

// slack is how much later than asked for a helper's timers may wake it.
const slack = 4 * time.Second

// unhurried lets the process that this thread forks inherit slack, until it is called off: a watchdog of Go's
// runtime looks some 10,000 times a second whether another goroutine could run while the helper works or waits for
// its mount, and that costs as much as the probe. A helper has one goroutine and no timers. Where slack is refused
// it costs more, and does the same.
func unhurried() (off func()) {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0)
	return func() {
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // the thread's own again
		runtime.UnlockOSThread()
	}
}
