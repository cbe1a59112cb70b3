package probe

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Start forks a helper and gives this process's end of its socket. The thread that calls it must live as long
// as the helper may. The helper gets an empty environment (it must know no secret) and no stream of ours: one
// that cannot be killed would hold them open. What, the mount, is only for who lists processes.
func Start(what ...string) (*os.Process, *os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	far := os.NewFile(uintptr(pair[1]), "probe helper's end")
	defer far.Close()
	if err := unix.SetNonblock(pair[0], true); err != nil {
		unix.Close(pair[0])
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	near := os.NewFile(uintptr(pair[0]), "probe helper")
	proc, err := fork(far, append([]string{Name}, what...))
	if err != nil {
		near.Close()
		return nil, nil, err
	}
	return proc, near, nil
}

func fork(far *os.File, argv []string) (*os.Process, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	return os.StartProcess("/proc/self/exe", argv, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{"GOMAXPROCS=1", "GOTRACEBACK=none"},
		Files: []*os.File{null, null, null, far},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
}
