package mountcheck

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// events waits for changes of the mount table in poll(2). Its descriptors are plain ones: the runtime's
// poller would take the events first.
type events struct {
	table int // /proc/self/mountinfo
	wake  int // eventfd that ends the wait
}

func newEvents() (*events, error) {
	table, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot watch the mount table /proc/self/mountinfo: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(table)
		return nil, fmt.Errorf("cannot watch the mount table: eventfd: %w", err)
	}
	return &events{table: table, wake: wake}, nil
}

// next returns true when the table has changed since the last call or since newEvents, false after end.
func (e *events) next() (bool, error) {
	fds := []unix.PollFd{{Fd: int32(e.table), Events: unix.POLLPRI | unix.POLLERR}, {Fd: int32(e.wake), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return false, fmt.Errorf("cannot watch the mount table: poll: %w", err)
		case fds[1].Revents != 0:
			return false, nil
		case fds[0].Revents != 0:
			return true, nil
		}
	}
}

// end makes next return false, now and ever after.
func (e *events) end() {
	// Eight bytes into a fresh counter cannot fail or block.
	_, _ = unix.Write(e.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

func (e *events) close() {
	unix.Close(e.table)
	unix.Close(e.wake)
}
