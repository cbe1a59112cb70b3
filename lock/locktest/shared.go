package locktest

import (
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/lock"
)

// besides opens a contender that permits foreign peers.
func besides(s *lock.Settings) { s.Foreign = true }

// peers tells whether this service has any.
func (b *bench) peers() bool {
	if b.lock.Intrude == nil {
		b.Log("no other programs contend for a lock of this service")
	}
	return b.lock.Intrude != nil
}

// sharing joins beside foreign peers and waits for the grant.
func (b *bench) sharing(name string) *contender {
	b.Helper()
	c := b.waiting(name, besides)
	c.mustBeGranted()
	return c
}

func (c *contender) shared() lock.SharedPlace {
	c.b.Helper()
	p, ok := c.place.(lock.SharedPlace)
	if !ok {
		c.b.Fatalf("a %T is no SharedPlace", c.place)
	}
	return p
}

// testSharedReset: a proof is of now, also long after the join, and of the time that was granted.
func testSharedReset(b *bench) {
	if !b.peers() {
		return
	}
	a := b.sharing("a")
	version := lock.Version{}
	for range 3 {
		<-time.After(2 * b.Timing.Heartbeat)
		before := clock.Now()
		p, err := a.shared().Reset(b.ctx)
		b.must(err, "reset")
		if old := before.HolderSince(p.From); old >= b.Timing.Heartbeat || clock.Now().HolderSince(p.From) < 0 {
			b.Fatalf("the proof counts from %v before it was asked for", old)
		}
		if p.For < b.Timing.Hold || p.For > 2*b.Timing.Hold {
			b.Fatalf("the proof is for %v, expected what was asked for, %v", p.For, b.Timing.ServerTimeout())
		}
		version = a.write("running", version, lock.Committed).Version
	}
}

// testSharedResetGone: without the key there is no proof.
func testSharedResetGone(b *bench) {
	if !b.peers() {
		return
	}
	a := b.sharing("a")
	b.lock.RemoveKey(b.T, a.place)
	if p, err := a.shared().Reset(b.ctx); err == nil {
		b.Fatalf("the key is gone, but Reset proves %+v", p)
	}
	b.closes(a.place.Gone(), b.soon(), "Gone after a reset that found no key")
}

// handShared releases as Tenure does; what the record says of its moment comes back.
func (c *contender) handShared() lock.Evidence {
	c.b.Helper()
	mark, err := c.shared().Mark(c.b.ctx)
	c.b.must(err, c.name+": mark")
	r := c.hand("drained")
	return lock.Evidence{Version: r.Version, Token: c.place.RawToken(), Mark: mark}
}

func (c *contender) unbroken(e lock.Evidence, want bool, why string) {
	c.b.Helper()
	c.mustBeGranted()
	got, err := c.shared().Unbroken(c.b.ctx, e)
	c.b.must(err, c.name+": unbroken")
	if got != want {
		c.b.Fatalf("%s: unbroken is %v %s", c.name, got, why)
	}
}

// testSharedUnbroken: whoever waited, and whoever comes later, knows that nobody was between.
func testSharedUnbroken(b *bench) {
	if !b.peers() {
		return
	}
	a := b.sharing("a")
	next := b.waiting("next", besides)
	third := b.waiting("third", besides)
	leave := b.lock.Intrude(b.T) // behind all of them
	e := a.handShared()
	next.unbroken(e, true, "though it was next")
	e = next.handShared()
	third.unbroken(e, true, "though it was next")
	leave()
	e = third.handShared()
	b.waiting("later", besides).unbroken(e, true, "though nobody came between")
}

// testSharedBetween: a key of another program that stood between, or came and went.
func testSharedBetween(b *bench) {
	if !b.peers() {
		return
	}
	a := b.sharing("a")
	leave := b.lock.Intrude(b.T)
	next := b.waiting("next", besides)
	e := a.handShared()
	leave()
	next.unbroken(e, false, "though another program was between")
	e = next.handShared()
	b.lock.Intrude(b.T)()
	late := b.waiting("late", besides)
	late.unbroken(e, false, "though another program came and went")
	leave = b.lock.Intrude(b.T)
	e = late.handShared()
	last := b.waiting("last", besides)
	leave()
	last.unbroken(e, false, "though another program got the lock at the release")
}

// testSharedCrash: a holder that died without a release, with and without another program behind it.
func testSharedCrash(b *bench) {
	if !b.peers() {
		return
	}
	for _, between := range []bool{false, true} {
		a := b.sharing("a")
		e := lock.Evidence{Version: a.write("running", a.read().Version, lock.Committed).Version, Token: a.place.RawToken()}
		leave := func() {}
		if between {
			leave = b.lock.Intrude(b.T)
		}
		next := b.waiting("next", besides)
		b.lock.RemoveKey(b.T, a.place)
		a.hang()
		b.must(a.driver.Close(), "close a")
		leave()
		next.unbroken(e, !between, "behind a holder that died")
		next.leave()
	}
}
