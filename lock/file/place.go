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

// Descriptor is what a place of this driver has beyond the contract: its open file description, from
// Join on. Whoever else holds it (the guard) keeps the lock held when this process dies; the lock is
// free when the last of them has closed it, or one has released it. The file is a duplicate that is
// close-on-exec; the caller passes it on and closes it.
type Descriptor interface {
	Descriptor() (*os.File, error)
}

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
		p.once.gone.Do(func() { close(p.gone) })
		return snapshot{}, p.lost("it was removed or replaced")
	}
	return p.store.load()
}

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

// Descriptor implements the interface of that name.
func (p *place) Descriptor() (*os.File, error) {
	type dup struct {
		fd  int
		err error
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.d.set.Timing.TryTimeout)
	defer cancel()
	got, late := do(ctx, p.lane, func() dup {
		if p.phase == ended {
			return dup{err: p.lost("the place was left")}
		}
		fd, err := unix.FcntlInt(uintptr(p.store.fd), unix.F_DUPFD_CLOEXEC, 3)
		return dup{fd, classify(p.d.path, "duplicate its descriptor", err)}
	})
	if late != nil {
		return nil, hung(p.d.path, "duplicate its descriptor", late)
	}
	if got.err != nil {
		return nil, got.err
	}
	return os.NewFile(uintptr(got.fd), p.d.path), nil
}
