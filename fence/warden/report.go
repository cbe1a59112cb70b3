package warden

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/process"
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
// that has ended and was not reaped keeps its number, so it is nobody else's.
func killChildren() {
	if process.OwnView() != nil {
		return // nothing else tells who they are: they are waited for
	}
	names, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, n := range names {
		pid, err := strconv.Atoi(n.Name())
		if err != nil {
			continue
		}
		if s, err := process.Read(pid); err == nil && s.Parent == os.Getpid() && !s.Ended() {
			_ = unix.Kill(pid, unix.SIGKILL) // it may just have ended, or not be ours to signal
		}
	}
}
