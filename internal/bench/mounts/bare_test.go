//go:build bench

package mounts

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// bare is a thread that waits for changes of the mount table and does nothing else.
type bare struct{ at chan time.Time }

func startBare(t *testing.T) *bare {
	t.Helper()
	table, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	must(t, err)
	b := &bare{make(chan time.Time, 1024)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.wait(table, stop)
	}()
	t.Cleanup(func() {
		_, err := unix.Write(stop, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		must(t, err)
		<-done
		must(t, errors.Join(unix.Close(table), unix.Close(stop)))
	})
	return b
}

func (b *bare) wait(table, stop int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fds := []unix.PollFd{{Fd: int32(table), Events: unix.POLLPRI | unix.POLLERR}, {Fd: int32(stop), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		now := time.Now()
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || fds[1].Revents != 0:
			return
		default:
			b.at <- now
		}
	}
}

// drop forgets what was before.
func (b *bare) drop() {
	for {
		select {
		case <-b.at:
		default:
			return
		}
	}
}

// woken is when it was first woken since.
func (b *bare) woken(t *testing.T) time.Time {
	t.Helper()
	select {
	case at := <-b.at:
		return at
	case <-time.After(limit):
		t.Fatal("the kernel tells of no change")
		return time.Time{}
	}
}
