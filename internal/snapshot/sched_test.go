package snapshot

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/interlock-run/interlock/internal/store"
)

// A sched lets one actor take one step at a time, by a seed: a step is one operation on the store. An actor
// may be put to sleep before any step, for long.
type sched struct {
	rnd    *rand.Rand
	steps  int
	events chan event
	asleep map[*actor]int // until which step
	late   []func()       // requests whose sender has given up, and that arrive later
	// restless never pauses.
	restless string
	pauses   [2]int // one step in so many begins a pause of up to so many
}

type event struct {
	who  *actor
	done bool
}

// An actor is one program with its own view of the store.
type actor struct {
	name string
	s    *sched
	mem  *memStore
	turn chan struct{}
}

func newSched(seed uint64) *sched {
	return &sched{rnd: rand.New(rand.NewPCG(seed, 77)), events: make(chan event), asleep: map[*actor]int{}, pauses: [2]int{12, 150}}
}

const stepsAtMost = 20_000

// run lets all actors go to their end.
func (s *sched) run(actors map[*actor]func(*actor)) error {
	for a, f := range actors {
		go func() { // joined by its last event
			a.step() // from the first line on, one at a time
			f(a)
			s.events <- event{a, true}
		}()
	}
	var waiting []*actor
	for running, left := len(actors), len(actors); left > 0; {
		for ; running > 0; running-- {
			if e := <-s.events; e.done {
				left--
			} else {
				waiting = append(waiting, e.who)
			}
		}
		if s.steps++; s.steps > stepsAtMost {
			return fmt.Errorf("no end after %d steps", s.steps)
		}
		if len(waiting) == 0 {
			continue
		}
		if i := s.pick(waiting); i >= 0 {
			a := waiting[i]
			waiting = append(waiting[:i], waiting[i+1:]...)
			running = 1
			a.turn <- struct{}{}
		}
	}
	return nil
}

// pick chooses who goes; -1 for nobody, while all sleep.
func (s *sched) pick(waiting []*actor) int {
	if len(s.late) > 0 && s.rnd.IntN(15) == 0 {
		i := s.rnd.IntN(len(s.late))
		s.late[i]()
		s.late = append(s.late[:i], s.late[i+1:]...)
	}
	byName(waiting)
	i := s.rnd.IntN(len(waiting))
	if s.asleep[waiting[i]] > s.steps {
		return -1
	}
	if s.rnd.IntN(s.pauses[0]) == 0 && waiting[i].name != s.restless {
		s.asleep[waiting[i]] = s.steps + s.rnd.IntN(s.pauses[1])
		return -1
	}
	return i
}

// step waits for the actor's turn.
func (a *actor) step() {
	a.s.events <- event{a, false}
	<-a.turn
}

func (a *actor) Create(ctx context.Context, key string, data []byte) error {
	a.step()
	switch a.s.rnd.IntN(12) {
	case 0: // the reply is lost
		_ = a.mem.Create(ctx, key, data)
		return fmt.Errorf("%s: %w", key, store.ErrAmbiguous)
	case 1: // the request is late
		a.s.late = append(a.s.late, func() { _ = a.mem.Create(ctx, key, data) })
		return fmt.Errorf("%s: %w", key, store.ErrAmbiguous)
	case 2:
		return fmt.Errorf("%s: %w", key, store.ErrAmbiguous)
	}
	return a.mem.Create(ctx, key, data)
}

func (a *actor) Put(ctx context.Context, key string, body io.ReadSeeker, size int64) error {
	a.step()
	return a.mem.Put(ctx, key, body, size)
}

func (a *actor) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	a.step()
	if a.s.rnd.IntN(40) == 0 {
		return nil, fmt.Errorf("%s: %w", key, store.ErrUnreachable)
	}
	return a.mem.Get(ctx, key, off, n)
}

func (a *actor) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	a.step()
	list := slices.Collect(maps.Keys(maps.Collect(a.mem.List(ctx, prefix, after))))
	slices.SortFunc(list, func(x, y store.Object) int { return strings.Compare(x.Key, y.Key) })
	if a.s.rnd.IntN(8) == 0 { // as old as another host's view of a network filesystem
		list = list[:len(list)-min(len(list), 1+a.s.rnd.IntN(3))]
	}
	return func(yield func(store.Object, error) bool) {
		for _, o := range list {
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (a *actor) Delete(ctx context.Context, key string) error {
	a.step()
	return a.mem.Delete(ctx, key)
}
