package supervise

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/interlock-run/interlock/internal/process"
)

// The agent looks at who lives below the guard in subreaper mode once a second, and more often at first
// after each start: that is when a service puts itself into the background.
const kinFirst, kinLook = 50 * time.Millisecond, time.Second

// A kin is what the agent has seen below the guard, for the time after a guard that was killed: the kernel
// then gives the orphans to somebody else, and a payload that dropped its user lost the parent-death signal.
// The environment does not find them all: Redis and others overwrite theirs to show a title. What left its
// parents since the last look and has no environment is not found.
type kin struct {
	mu    sync.Mutex
	seen  map[int]string // when each was started, empty: not known; it is replaced, not changed
	once  sync.Once
	more  chan struct{} // something was started
	looks process.Lookout
}

// watch looks until closed. Only the subreaper mode needs it.
func (k *kin) watch(guard int, closed <-chan struct{}, join func(func())) {
	k.once.Do(func() {
		k.more = make(chan struct{}, 1)
		join(func() { k.keepLooking(guard, closed) })
	})
}

func (k *kin) keepLooking(guard int, closed <-chan struct{}) {
	pause := kinLook
	beat := time.NewTimer(pause)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			pause = min(2*pause, kinLook)
		case <-k.more:
			pause = kinFirst
		case <-closed:
			return
		}
		k.look(guard)
		beat.Reset(pause)
	}
}

// started is told of every process that the guard starts, once watch was called.
func (k *kin) started() {
	select {
	case k.more <- struct{}{}:
	default: // it looks soon anyway
	}
}

// look adds the guard's descendants, without our own tree, and forgets who has ended. Once the guard is
// dead its number may be another's: then what was seen stays, and nobody is added.
func (k *kin) look(guard int) { k.note(k.descendants(guard)) }

func (k *kin) note(list []int) {
	before, seen := k.known(), map[int]string{}
	for _, pid := range list {
		s, err := k.looks.Stat(pid) // each time: the number may be another descendant's by now
		switch {
		case errors.Is(err, process.ErrHangs):
			s.Start = before[pid]
		case err != nil || s.Ended():
			continue
		}
		seen[pid] = s.Start
	}
	left := map[int]string{}
	for pid, start := range before {
		if _, again := seen[pid]; !again {
			left[pid] = start
		}
	}
	for _, t := range k.living(left) {
		seen[t.pid] = left[t.pid]
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen = seen
}

// descendants are nobody where the list cannot be made: nothing is proven with this anyway.
func (k *kin) descendants(guard int) []int {
	family, err := k.looks.Family()
	if err != nil {
		return nil
	}
	list, _ := descendants(family.Children, []int{guard}, os.Getpid())
	if os.Getppid() != guard { // asked after the list was made: the kernel gives us to another when it dies
		return nil
	}
	return list
}

func (k *kin) known() map[int]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.seen
}

// living are those that were seen and live: the number alone may be another's by now.
func (k *kin) living(seen map[int]string) []task {
	var found []task
	for pid, start := range seen {
		if process.Ended(pid) {
			continue
		}
		s, err := k.looks.Stat(pid)
		if unsure := err != nil || start == ""; unsure || s.Start == start {
			found = append(found, task{pid, unsure})
		}
	}
	return found
}

// members are the living that were seen, and all below them.
func (k *kin) members() []task {
	found := k.living(k.known())
	var roots []int
	for _, t := range found {
		if !t.unsure {
			roots = append(roots, t.pid)
		}
	}
	family, err := k.looks.Family()
	if err != nil {
		return append(found, unseen()...)
	}
	return append(found, familyOf(family.Children, roots, os.Getpid())...)
}
