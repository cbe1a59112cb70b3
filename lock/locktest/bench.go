package locktest

import (
	"context"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/lock"
)

// A bench is one sub-test: its lock, and a deadline for all that it does.
type bench struct {
	*testing.T
	Harness
	lock Lock
	ctx  context.Context
}

func newBench(t *testing.T, h Harness) *bench {
	ctx, cancel := context.WithTimeout(context.Background(), 20*h.Timing.Hold+30*time.Second)
	t.Cleanup(cancel)
	return &bench{T: t, Harness: h, lock: h.Fresh(t), ctx: ctx}
}

// soon bounds what an event brings about, lapse what waits for the service's timer.
func (b *bench) soon() time.Duration  { return b.Timing.Hold + 10*time.Second }
func (b *bench) lapse() time.Duration { return 4*b.Timing.Hold + 10*time.Second }

// need skips where the service has no such event.
func (b *bench) need(have bool, event string) {
	b.Helper()
	if !have {
		b.Skipf("not applicable: this service cannot be made to %s", event)
	}
}

func (b *bench) must(err error, what string) {
	b.Helper()
	if err != nil {
		b.Fatalf("%s: %v", what, err)
	}
}

func (b *bench) settings(holder string) lock.Settings {
	return lock.Settings{
		Timing: b.Timing, Holder: holder, Node: "node-" + holder, Clock: clock.Now,
		Log: func(string, ...any) {},
	}
}

// open makes a driver that is closed at the end, after its places have left.
func (b *bench) open(holder string, change ...func(*lock.Settings)) lock.Driver {
	b.Helper()
	s := b.settings(holder)
	for _, f := range change {
		f(&s)
	}
	d, err := b.lock.Open(b.ctx, s)
	b.must(err, "open "+holder)
	b.Cleanup(func() {
		if err := d.Close(); err != nil {
			b.Errorf("close %s: %v", holder, err)
		}
	})
	return d
}

// join opens a driver and puts it into the queue.
func (b *bench) join(holder string, change ...func(*lock.Settings)) *contender {
	b.Helper()
	return b.joinWith(b.open(holder, change...), holder)
}

// holder joins and waits for the grant.
func (b *bench) holder(name string) *contender {
	b.Helper()
	c := b.join(name)
	c.await()
	c.mustBeGranted()
	return c
}

// waiting joins and awaits, in a goroutine.
func (b *bench) waiting(name string, change ...func(*lock.Settings)) *contender {
	b.Helper()
	c := b.join(name, change...)
	c.await()
	return c
}

// eventually polls a condition, with a deadline.
func (b *bench) eventually(within time.Duration, what string, ok func() bool) {
	b.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(within)
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			b.Fatalf("not within %v: %s", within, what)
		}
	}
}

// closes waits for a channel to be closed.
func (b *bench) closes(ch <-chan struct{}, within time.Duration, what string) {
	b.Helper()
	select {
	case <-ch:
	case <-time.After(within):
		b.Fatalf("not within %v: %s", within, what)
	}
}
