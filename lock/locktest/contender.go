package locktest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/lock"
)

// A sighting is one call of saw.
type sighting struct {
	version lock.Version
	stamp   clock.Stamp
}

// A contender is one place with the loop that pulses it and keeps it alive, as Tenure does.
type contender struct {
	b      *bench
	name   string
	driver lock.Driver
	place  lock.Place
	result chan error // of Await
	cancel context.CancelFunc
	silent context.CancelFunc // ends the loop
	beats  sync.WaitGroup
	awaits sync.WaitGroup
	mu     sync.Mutex
	saw    []sighting
}

func (b *bench) joinWith(d lock.Driver, name string) *contender {
	b.Helper()
	p, err := d.Join(b.ctx)
	b.must(err, "join "+name)
	c := &contender{b: b, name: name, driver: d, place: p}
	ctx, silent := context.WithCancel(b.ctx)
	c.silent = silent
	c.beats.Go(func() { c.beat(ctx) })
	b.Cleanup(c.end)
	return c
}

// beat keeps the place alive. A failed beat is not judged here: what a loss must lead to is asserted by
// the tests' own calls.
func (c *contender) beat(ctx context.Context) {
	tick := time.NewTicker(c.b.Timing.Heartbeat)
	defer tick.Stop()
	for {
		c.place.Pulse()
		try, cancel := context.WithTimeout(ctx, c.b.Timing.TryTimeout)
		err := c.place.KeepAlive(try)
		cancel()
		if err != nil && ctx.Err() == nil {
			c.b.Logf("%s: keep alive: %v", c.name, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// hang stops the loop, as a hung decision would.
func (c *contender) hang() {
	c.silent()
	c.beats.Wait()
}

// end leaves and joins all goroutines.
func (c *contender) end() {
	if c.cancel != nil {
		c.cancel()
	}
	c.awaits.Wait()
	c.hang()
	ctx, cancel := context.WithTimeout(context.Background(), c.b.Timing.TryTimeout)
	defer cancel()
	if err := c.place.Leave(ctx); err != nil {
		c.b.Logf("%s: leave at the end: %v", c.name, err)
	}
}

// await starts Await; its result comes by mustBeGranted or answer.
func (c *contender) await() {
	ctx, cancel := context.WithCancel(c.b.ctx)
	c.cancel = cancel
	result := make(chan error, 1)
	c.result = result
	c.awaits.Go(func() { result <- c.place.Await(ctx, c.see) })
}

func (c *contender) see(v lock.Version, s clock.Stamp) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.saw = append(c.saw, sighting{v, s})
}

func (c *contender) sightings() []sighting {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]sighting(nil), c.saw...)
}

// hasSeen tells whether saw was called for this version.
func (c *contender) hasSeen(v lock.Version) bool {
	for _, s := range c.sightings() {
		if s.version == v {
			return true
		}
	}
	return false
}

// answer waits for Await to return.
func (c *contender) answer(within time.Duration) error {
	c.b.Helper()
	select {
	case err := <-c.result:
		return err
	case <-time.After(within):
		c.b.Fatalf("%s: Await did not return within %v", c.name, within)
		return errors.New("unreachable")
	}
}

func (c *contender) mustBeGranted() {
	c.b.Helper()
	c.b.must(c.answer(c.b.soon()), c.name+": await the grant")
}

// mustWait asserts that no grant comes for a while.
func (c *contender) mustWait(d time.Duration, why string) {
	c.b.Helper()
	select {
	case err := <-c.result:
		c.b.Fatalf("%s: Await returned (%v) %s", c.name, err, why)
	case <-time.After(d):
	}
}

func (c *contender) read() lock.Stored {
	c.b.Helper()
	s, err := c.place.Read(c.b.ctx)
	c.b.must(err, c.name+": read")
	return s
}

// write expects one outcome.
func (c *contender) write(data string, after lock.Version, want lock.Outcome) lock.Result {
	c.b.Helper()
	r, err := c.place.Write(c.b.ctx, []byte(data), after)
	return c.check("write", r, err, want)
}

// release expects one outcome.
func (c *contender) release(data string, after lock.Version, want lock.Outcome) lock.Result {
	c.b.Helper()
	if want == lock.Committed {
		c.hang() // no heartbeat once the release is sent (E3)
	}
	r, err := c.place.Release(c.b.ctx, []byte(data), after)
	return c.check("release", r, err, want)
}

// hand releases with data, whatever the record is now.
func (c *contender) hand(data string) lock.Result {
	c.b.Helper()
	return c.release(data, c.read().Version, lock.Committed)
}

func (c *contender) check(what string, r lock.Result, err error, want lock.Outcome) lock.Result {
	c.b.Helper()
	if r.Outcome != want {
		c.b.Fatalf("%s: %s came to outcome %v (%v), expected %v", c.name, what, r.Outcome, err, want)
	}
	if want == lock.Committed && (err != nil || r.Version == lock.Version{}) {
		c.b.Fatalf("%s: %s committed with error %v and version %+v", c.name, what, err, r.Version)
	}
	return r
}

func (c *contender) leave() {
	c.b.Helper()
	c.hang()
	c.b.must(c.place.Leave(c.b.ctx), c.name+": leave")
}

// holds expects these bytes at this version.
func (c *contender) holds(data string, v lock.Version) {
	c.b.Helper()
	got := c.read()
	if string(got.Data) != data || got.Version != v {
		c.b.Fatalf("%s: record is %q at %+v, expected %q at %+v", c.name, got.Data, got.Version, data, v)
	}
}
