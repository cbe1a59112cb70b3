package warden

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Report is how the command ended: with a code, by a signal, or not begun at all, because of an error of the kernel.
type Report struct {
	Code   int
	Signal syscall.Signal
	Errno  syscall.Errno
}

const reportFormat = "%d %d %d\n"

// ErrNoReport is a warden that ended without a word.
var ErrNoReport = errors.New("its warden ended without a report")

// Read waits for the report.
func Read(from io.Reader) (r Report, err error) {
	var sig, errno uint
	if n, _ := fmt.Fscanf(from, reportFormat, &r.Code, &sig, &errno); n != 3 {
		return r, ErrNoReport
	}
	r.Signal, r.Errno = syscall.Signal(sig), syscall.Errno(errno)
	return r, nil
}

func reportOf(failed error, status unix.WaitStatus) Report {
	switch {
	case failed != nil:
		return Report{Errno: errno(failed)}
	case status.Signaled():
		return Report{Signal: status.Signal()}
	}
	return Report{Code: status.ExitStatus()}
}

func errno(err error) syscall.Errno {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	return syscall.EIO
}

// killChildren kills our own children; what they had started comes to us then, and is killed with the next look. A child
// that has ended and was not reaped keeps its number, so it is nobody else's. No other process is looked at, where the
// kernel lets that be: one that hangs would keep us from killing.
func (w *warden) killChildren() {
	family, err := w.looks.Family()
	if err != nil {
		return // nothing else tells who they are: they are waited for
	}
	children, _ := family.Children(os.Getpid()) // who could not be read is there at the next look
	for _, pid := range children {
		_ = unix.Kill(pid, unix.SIGKILL) // it may just have ended, or not be ours to signal
	}
}
