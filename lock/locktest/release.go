package locktest

import (
	"time"

	"github.com/interlock-run/interlock/lock"
)

// testReleaseOneStep: the next holder's first read shows what the release wrote.
func testReleaseOneStep(b *bench) {
	a := b.holder("a")
	first := a.write("running", lock.Version{}, lock.Committed)
	next := b.waiting("next")
	r := a.release("drained", first.Version, lock.Committed)
	next.mustBeGranted()
	next.holds("drained", r.Version)
}

// testReleaseGuarded: a release after another version writes nothing and keeps the key.
func testReleaseGuarded(b *bench) {
	a := b.holder("a")
	a.release("bye", lock.Version{CAS: 12345, Seen: 12345}, lock.Missing)
	first := a.write("one", lock.Version{}, lock.Committed)
	r := a.release("bye", lock.Version{}, lock.Moved)
	if r.Current.Version != first.Version {
		b.Fatalf("Moved shows version %+v, expected %+v", r.Current.Version, first.Version)
	}
	next := b.waiting("next")
	next.mustWait(100*time.Millisecond, "though the release of the holder was refused")
	second := a.write("two", first.Version, lock.Committed)
	a.release("bye", second.Version, lock.Committed)
	next.mustBeGranted()
}

// testReleaseFinal: after a release nothing of this place commits any more (E3).
func testReleaseFinal(b *bench) {
	a := b.holder("a")
	r := a.release("drained", lock.Version{}, lock.Committed)
	if w, err := a.place.Write(b.ctx, []byte("late"), r.Version); w.Outcome == lock.Committed {
		b.Fatalf("a write after the release committed (%v)", err)
	}
	if w, err := a.place.Release(b.ctx, []byte("late"), r.Version); w.Outcome == lock.Committed {
		b.Fatalf("a second release committed (%v)", err)
	}
	a.leave()
	b.holder("c").holds("drained", r.Version)
}

// testReleaseWakesNext: one release, one grant.
func testReleaseWakesNext(b *bench) {
	a := b.holder("a")
	waiting := []*contender{b.waiting("b"), b.waiting("c"), b.waiting("d")}
	a.hand("bye")
	i := b.nextGranted(waiting)
	for j, c := range waiting {
		if j != i {
			c.mustWait(200*time.Millisecond, "though only one lock was released")
		}
	}
}

// testLeave: leaving takes the key and not the record, twice is no error, and the next one is granted.
func testLeave(b *bench) {
	a := b.holder("a")
	mine := a.write("mine", lock.Version{}, lock.Committed)
	next := b.waiting("next")
	a.leave()
	next.mustBeGranted()
	a.leave()
	if r, err := a.place.Write(b.ctx, []byte("late"), mine.Version); r.Outcome == lock.Committed {
		b.Fatalf("a write after Leave committed (%v)", err)
	}
	next.holds("mine", mine.Version)
}

// testLeaveMiddle: one who leaves while waiting neither blocks nor advances the others.
func testLeaveMiddle(b *bench) {
	a := b.holder("a")
	middle := b.join("middle")
	last := b.waiting("last")
	last.mustWait(200*time.Millisecond, "while two are ahead") // and watches the middle one by then
	middle.leave()
	last.mustWait(200*time.Millisecond, "while the first one still holds")
	a.hand("bye")
	last.mustBeGranted()
}

// testHolderActs: nothing that a holder does with its key or the record grants the lock to the next.
func testHolderActs(b *bench) {
	a := b.holder("a")
	next := b.waiting("next")
	next.mustWait(200*time.Millisecond, "behind a holder") // and watches its key by then
	v := lock.Version{}
	for range 3 {
		v = a.write("running", v, lock.Committed).Version
		a.holds("running", v)
		b.must(a.place.KeepAlive(b.ctx), "keep alive")
		next.mustWait(100*time.Millisecond, "though the holder only wrote and read")
	}
	a.release("bye", v, lock.Committed)
	next.mustBeGranted()
}
