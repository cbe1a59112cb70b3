package locktest

import (
	"errors"
	"time"

	"github.com/interlock-run/interlock/lock"
)

// testGone: Gone is closed after the key went, and not before.
func testGone(b *bench) {
	b.need(b.lock.RemoveKey != nil, "remove a key from outside")
	a := b.holder("a")
	select {
	case <-a.place.Gone():
		b.Fatal("Gone is closed though the key is there")
	case <-time.After(2 * b.Timing.Heartbeat):
	}
	b.lock.RemoveKey(b.T, a.place)
	b.closes(a.place.Gone(), b.soon(), "Gone is closed after the key was removed")
}

// testExpire: after the service dropped the session nothing of the place commits, Gone is closed, the
// next one is granted and sees the record as it was.
func testExpire(b *bench) {
	b.need(b.lock.Expire != nil, "drop a session or lease")
	a := b.holder("a")
	mine := a.write("mine", lock.Version{}, lock.Committed)
	next := b.waiting("next")
	b.lock.Expire(b.T, a.driver, a.place)
	b.closes(a.place.Gone(), b.lapse(), "Gone is closed after the session was dropped")
	next.mustBeGranted()
	if r, err := a.place.Write(b.ctx, []byte("late"), mine.Version); r.Outcome == lock.Committed {
		b.Fatalf("a write after the session was dropped committed (%v)", err)
	}
	if r, err := a.place.Release(b.ctx, []byte("late"), mine.Version); r.Outcome == lock.Committed {
		b.Fatalf("a release after the session was dropped committed (%v)", err)
	}
	next.holds("mine", mine.Version)
	a.leave()
	again := b.joinWith(a.driver, "again")
	again.await()
	next.hand("bye")
	again.mustBeGranted()
}

// testExpireWaiting: a waiting contender whose session was dropped is told so, and may join anew.
func testExpireWaiting(b *bench) {
	b.need(b.lock.Expire != nil, "drop a session or lease")
	a := b.holder("a")
	loser := b.waiting("loser")
	b.lock.Expire(b.T, loser.driver, loser.place)
	again := b.joinWith(b.open("again"), "again")
	a.hand("bye")
	if err := loser.answer(b.lapse()); !errors.Is(err, lock.ErrPlaceLost) {
		b.Fatalf("Await of a dropped session gave %v, expected ErrPlaceLost", err)
	}
	loser.leave()
	again.await()
	again.mustBeGranted()
}

// testClose: closing a driver whose place still holds frees nothing early; the service's timer does.
func testClose(b *bench) {
	s := b.settings("a")
	d, err := b.lock.Open(b.ctx, s)
	b.must(err, "open a")
	a := b.joinWith(d, "a")
	a.await()
	a.mustBeGranted()
	a.write("mine", lock.Version{}, lock.Committed)
	next := b.waiting("next")
	a.hang()
	b.must(d.Close(), "close a driver that holds")
	next.mustWait(b.Timing.Hold-b.Timing.Heartbeat-b.Timing.TryTimeout, "right after the holder's driver was closed")
	if b.Traits.NoExpiry {
		next.mustWait(b.Timing.Hold, "though only the end of the process frees this lock")
		return
	}
	b.must(next.answer(b.lapse()), "await the grant after the lapse")
}

// testNoPulse: a decision loop that hangs must not keep the key, whatever the library keeps alive (W4).
func testNoPulse(b *bench) {
	b.need(!b.Traits.NoExpiry, "let a lock lapse by time")
	a := b.holder("a")
	a.write("mine", lock.Version{}, lock.Committed)
	next := b.waiting("next")
	next.mustWait(2*b.Timing.Hold, "though the holder pulses and keeps its key alive")
	a.hang()
	b.must(next.answer(b.lapse()), "await the grant after the holder's loop hung")
	b.closes(a.place.Gone(), b.lapse(), "Gone of the holder that hung is closed")
}
