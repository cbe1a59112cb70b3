package supervise

import (
	"os"
	"sync"
	"time"
)

// The agent looks at who lives below the guard in subreaper mode once a second, and more often at first
// after each start: that is when a service puts itself into the background.
const kinFirst, kinLook = 50 * time.Millisecond, time.Second

// A kin is what the agent has seen below the guard, for the time after a guard that was killed: the kernel
// then gives the orphans to somebody else, and a payload that dropped its user lost the parent-death signal.
// The environment does not find them all: Redis and others overwrite theirs to show a title. What left its
// parents since the last look and has no environment is not found.
type kin struct {
	mu   sync.Mutex
	seen map[int]task
	once sync.Once
	more chan struct{} // something was started
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
func (k *kin) look(guard int) {
	list, err := tasks()
	if err != nil {
		return // nothing is proven with this anyway
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := map[int]task{}
	found := k.living(list)
	if os.Getppid() == guard { // asked after the list was made: the kernel gives us to another when it dies
		found = append(found, below(list, guard, os.Getpid())...)
	}
	for _, t := range found {
		seen[t.pid] = t
	}
	k.seen = seen
}

// living are those in list that were seen before: the number alone may be another's by now.
func (k *kin) living(list []task) []task {
	var found []task
	for _, t := range list {
		if was, ok := k.seen[t.pid]; ok && was.start == t.start && !t.dead {
			found = append(found, t)
		}
	}
	return found
}

// members are the living that were seen, and all below them.
func (k *kin) members(list []task) []task {
	k.mu.Lock()
	defer k.mu.Unlock()
	found := k.living(list)
	return append(found, descendants(list, pids(found), os.Getpid())...)
}
