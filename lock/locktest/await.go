package locktest

import (
	"context"
	"errors"

	"github.com/interlock-run/interlock/lock"
)

// testAwaitCancelled: an ended context ends the wait with its error, and the place can leave.
func testAwaitCancelled(b *bench) {
	a := b.holder("a")
	quitter := b.waiting("quitter")
	last := b.waiting("last")
	if !b.Traits.SawAtGrant {
		a.write("one", lock.Version{}, lock.Committed)
	}
	quitter.cancel()
	if err := quitter.answer(b.soon()); !errors.Is(err, context.Canceled) {
		b.Fatalf("Await with an ended context gave %v, expected context.Canceled", err)
	}
	quitter.leave()
	a.hand("bye")
	last.mustBeGranted()
}

// testPlaceLost: a key that went while waiting is never granted, and its owner may join anew.
func testPlaceLost(b *bench) {
	b.need(b.lock.RemoveKey != nil, "remove a key from outside")
	a := b.holder("a")
	loser := b.waiting("loser")
	b.lock.RemoveKey(b.T, loser.place)
	a.leave()
	if err := loser.answer(b.soon()); !errors.Is(err, lock.ErrPlaceLost) {
		b.Fatalf("Await of a removed key gave %v, expected ErrPlaceLost", err)
	}
	loser.leave()
	again := b.joinWith(loser.driver, "again")
	again.await()
	again.mustBeGranted()
	again.hand("bye")
}

// testSawAfterJoin: every contender is told the record's version, also the last in a long queue.
func testSawAfterJoin(b *bench) {
	a := b.holder("a")
	v := a.write("one", lock.Version{}, lock.Committed).Version
	for _, name := range []string{"b", "c", "d"} {
		c := b.waiting(name)
		if !b.Traits.SawAtGrant {
			b.eventually(b.soon(), name+" sees the record after joining", func() bool { return c.hasSeen(v) })
			continue
		}
		a.release("bye", v, lock.Committed)
		c.mustBeGranted()
		if v = c.read().Version; !c.hasSeen(v) {
			b.Fatalf("%s saw %+v until the grant, expected %+v", name, c.sightings(), v)
		}
		a = c
	}
}

// testSawOnlyNext: the next in line sees the versions that follow, the one behind it does not, until it
// is next itself.
func testSawOnlyNext(b *bench) {
	b.need(!b.Traits.SawAtGrant, "show the record to a waiting contender")
	a := b.holder("a")
	v := a.write("one", lock.Version{}, lock.Committed).Version
	next, behind := b.waiting("next"), b.waiting("behind")
	b.eventually(b.soon(), "both see the first version", func() bool { return next.hasSeen(v) && behind.hasSeen(v) })
	for range 5 {
		v = a.write("more", v, lock.Committed).Version
		b.eventually(b.soon(), "the next in line sees a heartbeat", func() bool { return next.hasSeen(v) })
	}
	if n := len(behind.sightings()); n != 1 {
		b.Fatalf("the one behind the next in line was told of %d versions, expected 1", n)
	}
	v = a.release("bye", v, lock.Committed).Version
	next.mustBeGranted()
	v = next.write("mine", v, lock.Committed).Version
	b.eventually(b.soon(), "the new next in line sees a heartbeat", func() bool { return behind.hasSeen(v) })
}
