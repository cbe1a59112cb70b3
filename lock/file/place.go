package file

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/lock"
)

// phases of a place.
type phase int

const (
	waiting phase = iota
	granted
	ended // released or left: the descriptor is closed
)

// A place is one open file description. A raw descriptor, not an os.File: a file that the garbage
// collector closes would free the lock.
type place struct {
	d     *driver
	lane  lane // all file work; owns store and phase
	waits lane // taken by Await while it runs, so that nobody closes the descriptor under it
	store store
	phase phase
	stuck bool // the waiting thread never came back; set under waits
	token atomic.Int64
	ahead atomic.Pointer[lock.Waiter]
	watch *watch // while granted
	gone  chan struct{}
	quit  chan struct{}
	once  struct{ gone, quit sync.Once }
}

func newPlace(d *driver, fd int) *place {
	return &place{
		d: d, lane: newLane(), waits: newLane(), store: store{path: d.path, fd: fd, durable: -1},
		gone: make(chan struct{}), quit: make(chan struct{}),
	}
}

// mine loads the state if the path still leads to our file, else marks the place gone.
func (p *place) mine() (snapshot, error) {
	if p.phase == ended {
		return snapshot{}, p.lost("the place was left")
	}
	same, err := sameFile(p.d.path, p.store.fd)
	if err != nil {
		return snapshot{}, err
	}
	if !same {
		p.markGone()
		return snapshot{}, p.lost("it was removed or replaced")
	}
	return p.store.load()
}

func (p *place) markGone() { p.once.gone.Do(func() { close(p.gone) }) }

func (p *place) lost(why string) error {
	return fmt.Errorf("lock file %s: %s: %w", p.d.path, why, lock.ErrPlaceLost)
}

// Ahead is who had the lock when it was last looked at: at the start of Await and with each KeepAlive.
func (p *place) Ahead() lock.Waiter {
	if w := p.ahead.Load(); w != nil {
		return *w
	}
	return lock.Waiter{}
}

// RawToken is the counter in the file; 0 before the grant.
func (p *place) RawToken() int64 { return p.token.Load() }

// Gone is closed when a heartbeat, a read or a write found the file removed or replaced.
func (p *place) Gone() <-chan struct{} { return p.gone }

// Pulse does nothing: no library keeps this lock, only the life of those who hold the descriptor.
func (p *place) Pulse() {}

var _ lock.Descriptor = (*place)(nil)

// Descriptor gives a duplicate of the open file, close-on-exec, to be passed on: from Join on, whoever
// else holds it (the guard) keeps the lock held when this process dies. The lock is free when the last of
// them has closed it, or one has released it; closing the duplicate alone frees nothing. It is nil once
// the place is left, or when no more files can be opened; the log says so.
func (p *place) Descriptor() *os.File {
	got := p.bounded(context.Background(), "duplicate its descriptor", func() answer {
		if p.phase == ended {
			return answer{err: p.lost("the place was left")}
		}
		fd, err := unix.FcntlInt(uintptr(p.store.fd), unix.F_DUPFD_CLOEXEC, 3)
		return answer{dup: fd, err: classify(p.d.path, "duplicate its descriptor", err)}
	})
	if got.err != nil {
		p.d.set.Log("lock file: no descriptor to share", "path", p.d.path, "cause", got.err)
		return nil
	}
	return os.NewFile(uintptr(got.dup), p.d.path)
}
