package mountcheck

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// errorEvents hears of errors inside of filesystems, of which the mount table has no event: a probe is due then.
type errorEvents struct {
	group int // fanotify
	wake  int // eventfd that ends the wait
}

// CanHearErrors says why errors inside of ext4 are found by the next probe only; nil where the kernel tells of them
// at once (Linux 5.16, CAP_SYS_ADMIN).
func CanHearErrors() error {
	// A queue without a limit is only for whoever may also mark whole filesystems.
	group, err := errorGroup(unix.FAN_UNLIMITED_QUEUE)
	if err != nil {
		return fmt.Errorf("fanotify: %w", err)
	}
	return unix.Close(group)
}

func errorGroup(more uint) (int, error) {
	return unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_REPORT_FID|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK|more, 0)
}

// hearErrors begins to listen, if any of these mounts is of a filesystem that tells; nil where none is, and without
// the privilege.
func hearErrors(targets []*target) *errorEvents {
	if !slices.ContainsFunc(targets, (*target).tellsErrors) {
		return nil
	}
	group, err := errorGroup(0)
	if err != nil {
		return nil
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(group)
		return nil
	}
	return &errorEvents{group: group, wake: wake}
}

// heed adds the errors of one mount, once it has answered: the kernel asks it for its space then, which could hang
// in one that is dead.
func (e *errorEvents) heed(t *target) (done bool) {
	if e == nil || !t.tellsErrors() {
		return true
	}
	if t.plain().Kind != OK {
		return false
	}
	// Where it is refused, the probes of the period are what is left.
	_ = markErrors(e.group, t.want.Path)
	return true
}

// tellsErrors is of the mount as it was found right.
func (t *target) tellsErrors() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.base.FSType == "ext4"
}

// markErrors asks for the events of the filesystem at a path. The way there is followed in the kernel's cache
// alone.
func markErrors(group int, path string) error {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: resolveCached | unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &how)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.FanotifyMark(group, unix.FAN_MARK_ADD|unix.FAN_MARK_FILESYSTEM, unix.FAN_FS_ERROR, unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd))
}

// next returns true when there was an error since the last call, false after end. What it was the probe will say.
func (e *errorEvents) next() bool {
	if !e.wait(-1, unix.PollFd{Fd: int32(e.group), Events: unix.POLLIN}) {
		return false
	}
	buf := make([]byte, 4096)
	for {
		if n, err := unix.Read(e.group, buf); err != unix.EINTR && n <= 0 {
			return true
		}
	}
}

// rest lets time pass; false when the watch has ended. An error that a probe itself brings about must not ask for
// the next probe at once.
func (e *errorEvents) rest(d time.Duration) bool { return e.wait(int(d.Milliseconds())) }

// wait is false when it was woken, or cannot wait.
func (e *errorEvents) wait(ms int, more ...unix.PollFd) bool {
	fds := append([]unix.PollFd{{Fd: int32(e.wake), Events: unix.POLLIN}}, more...)
	for {
		_, err := unix.Poll(fds, ms)
		if err == unix.EINTR {
			continue
		}
		return err == nil && fds[0].Revents == 0
	}
}

func (e *errorEvents) end() {
	// Eight bytes into a fresh counter cannot fail or block.
	_, _ = unix.Write(e.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

func (e *errorEvents) close() {
	unix.Close(e.group)
	unix.Close(e.wake)
}

// actedOn is a while after which the kernel has done what its filesystem does after an error: it tells of the error
// first, and a probe that is quicker finds all well.
const actedOn = 100 * time.Millisecond

// listen asks for a probe of the mounts that may be meant, now and a moment later, at most once a period: several
// filesystems share the events, and a probe of one that is well costs little.
func (w *Watcher) listen() {
	for w.errors.next() {
		for _, pause := range []time.Duration{actedOn, w.plan.env.cfg.Period} {
			w.suspect()
			if !w.errors.rest(pause) {
				return
			}
		}
	}
}

// suspect asks for a probe of each mount whose filesystem tells of errors.
func (w *Watcher) suspect() {
	for _, t := range w.plan.targets {
		if t.tellsErrors() {
			t.kicked()
		}
	}
}

// kicked asks for a probe now, beside those of the period.
func (t *target) kicked() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}
