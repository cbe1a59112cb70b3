package locktest

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/interlock-run/interlock/lock"
)

// testOrder: five contenders get the lock one at a time, in the order in which they joined, with
// strictly increasing tokens.
func testOrder(b *bench) {
	var waiting []*contender
	for i := range 5 {
		waiting = append(waiting, b.waiting(fmt.Sprint("c", i)))
	}
	last := int64(0)
	for len(waiting) > 0 {
		i := b.nextGranted(waiting)
		got := waiting[i]
		if i != 0 && !b.Traits.Unordered {
			b.Fatalf("%s was granted, expected %s, which joined first", got.name, waiting[0].name)
		}
		waiting = append(waiting[:i:i], waiting[i+1:]...)
		for _, other := range waiting {
			other.mustWait(30*time.Millisecond, "while "+got.name+" holds the lock")
		}
		if got.place.RawToken() <= last {
			b.Fatalf("%s has token %d, expected more than %d", got.name, got.place.RawToken(), last)
		}
		last = got.place.RawToken()
		got.hand(got.name)
	}
}

// nextGranted waits for the first of several to be granted.
func (b *bench) nextGranted(of []*contender) int {
	b.Helper()
	found := -1
	b.eventually(b.soon(), "a grant", func() bool {
		for i, c := range of {
			select {
			case err := <-c.result:
				b.must(err, c.name+": await")
				found = i
				return true
			default:
			}
		}
		return false
	})
	return found
}

// testTokensAcrossReopen: tokens go up across release, leave and new clients.
func testTokensAcrossReopen(b *bench) {
	last := int64(0)
	for i := range 6 {
		c := b.holder(fmt.Sprint("c", i))
		if c.place.RawToken() <= last {
			b.Fatalf("tenure %d has token %d, expected more than %d", i, c.place.RawToken(), last)
		}
		last = c.place.RawToken()
		if i%2 == 0 {
			c.hand("released")
		} else {
			c.leave()
		}
	}
}

// testTokensAfterRecordRemoved: a lost record does not set tokens back.
func testTokensAfterRecordRemoved(b *bench) {
	b.need(b.lock.RemoveRecord != nil, "remove the record alone")
	a := b.holder("a")
	first := a.place.RawToken()
	a.hand("released")
	b.lock.RemoveRecord(b.T)
	c := b.holder("c")
	if c.place.RawToken() <= first {
		b.Fatalf("token %d after the record was removed, expected more than %d", c.place.RawToken(), first)
	}
}

// testCounter: twenty contenders add one each to a number that only the lock guards.
func testCounter(b *bench) {
	const contenders = 20
	var number, inside, overlaps atomic.Int64
	all := make([]*contender, contenders)
	for i := range all {
		all[i] = b.join(fmt.Sprint("c", i))
	}
	done := make(chan error, contenders)
	for _, c := range all {
		c.awaits.Go(func() {
			done <- c.once(func() {
				if inside.Add(1) != 1 {
					overlaps.Add(1)
				}
				seen := number.Load()
				runtime.Gosched()
				number.Store(seen + 1)
				inside.Add(-1)
			})
		})
	}
	for range all {
		b.must(<-done, "contender")
	}
	if number.Load() != contenders || overlaps.Load() != 0 {
		b.Fatalf("%d additions arrived and %d overlaps, expected %d and 0", number.Load(), overlaps.Load(), contenders)
	}
}

// once holds the lock for one piece of work, with a read of the service on each side of it.
func (c *contender) once(work func()) error {
	if err := c.place.Await(c.b.ctx, c.see); err != nil {
		return fmt.Errorf("%s: await: %w", c.name, err)
	}
	got, err := c.place.Read(c.b.ctx)
	if err != nil {
		return fmt.Errorf("%s: read: %w", c.name, err)
	}
	work()
	r, err := c.place.Release(c.b.ctx, []byte(c.name), got.Version)
	if err != nil || r.Outcome != lock.Committed {
		return fmt.Errorf("%s: release: outcome %v, error %v", c.name, r.Outcome, err)
	}
	return nil
}
