package file

import (
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A blocked is one thread that waits in the kernel for the lock (F_OFD_SETLKW), so that waiting costs
// nothing and the grant comes without polling.
//
// The call has no timeout, and Go's signal handlers restart it. That restart is the way out: the kernel
// then reads the request anew from memory. Cancelling turns the request into an unlock first and sends
// the thread a signal after: a call that has not begun, or is restarted, unlocks and returns at once,
// and one that had just won is told by unlock. No order of the two can miss. The signal is SIGURG, which
// Go's runtime has a handler for, sends to itself, and takes a spurious one of for nothing.
//
// Should the thread not come back all the same (SIGURG was blocked when the process was started), it is
// left behind with its descriptor open, gives the lock back when it wins, and ends with the process.
type blocked struct {
	fd       int
	request  unix.Flock_t
	thread   chan int   // its id, once it is about to wait
	done     chan error // nil: the lock is held
	giveBack atomic.Bool
}

// block starts waiting.
func block(fd int) *blocked {
	b := &blocked{fd: fd, request: whole(unix.F_WRLCK), thread: make(chan int, 1), done: make(chan error, 1)}
	go b.wait()
	return b
}

// wait is joined by done.
func (b *blocked) wait() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b.thread <- unix.Gettid()
	var err error = unix.EINTR
	for errors.Is(err, unix.EINTR) && !b.giveBack.Load() {
		err = unix.FcntlFlock(uintptr(b.fd), unix.F_OFD_SETLKW, &b.request)
	}
	if b.giveBack.Load() {
		err = unlock(b.fd)
	}
	b.done <- err
}

// cancel ends the wait and frees the lock if it was won meanwhile. It tells whether the thread is back.
func (b *blocked) cancel() bool {
	tid := <-b.thread
	b.giveBack.Store(true)
	b.request.Type = unix.F_UNLCK
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 20 {
		if err := unix.Tgkill(unix.Getpid(), tid, unix.SIGURG); err != nil && !errors.Is(err, unix.ESRCH) {
			return false
		}
		select {
		case <-b.done:
			return unlock(b.fd) == nil
		case <-tick.C:
		}
	}
	return false
}
