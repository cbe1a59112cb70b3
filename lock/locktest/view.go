package locktest

import (
	"fmt"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/lock"
)

func (b *bench) view(d lock.Driver) lock.View {
	b.Helper()
	v, err := d.View(b.ctx)
	b.must(err, "view")
	return v
}

// testView: whoever looks sees the queue in order, with names and tokens, and the record; looking
// joins nothing.
func testView(b *bench) {
	looker := b.open("looker")
	if v := b.view(looker); len(v.Queue) != 0 || v.Record.Exists() {
		b.Fatalf("a lock that nobody used shows %+v", v)
	}
	a := b.holder("a")
	written := a.write("mine", lock.Version{}, lock.Committed)
	queue := []*contender{a, b.waiting("b"), b.waiting("c")}
	if b.Traits.Unordered {
		queue = queue[:1]
	}
	for range 2 {
		b.compareView(b.view(looker), queue, written.Version)
	}
	if age := b.view(looker).RecordAge; age < 0 || age > b.soon() {
		b.Fatalf("a record that was just written is %v old", age)
	}
}

func (b *bench) compareView(v lock.View, queue []*contender, written lock.Version) {
	b.Helper()
	if len(v.Queue) != len(queue) {
		b.Fatalf("view shows %d in the queue, expected %d: %+v", len(v.Queue), len(queue), v.Queue)
	}
	for i, w := range v.Queue {
		want := queue[i]
		if w.Holder != want.name || w.Key == "" || w.Token != fence.Token(want.place.RawToken()) {
			b.Fatalf("view shows %+v at %d, expected %s with token %d", w, i, want.name, want.place.RawToken())
		}
	}
	if string(v.Record.Data) != "mine" || v.Record.Version != written {
		b.Fatalf("view shows record %q at %+v, expected \"mine\" at %+v", v.Record.Data, v.Record.Version, written)
	}
}

// testAhead: a waiting contender can say who is ahead, the holder nobody.
func testAhead(b *bench) {
	a := b.holder("a")
	next := b.waiting("next")
	b.eventually(b.soon(), "the next in line knows who is ahead", func() bool { return next.place.Ahead().Holder == "a" })
	if w := next.place.Ahead(); w.Token != fence.Token(a.place.RawToken()) {
		b.Fatalf("ahead is %+v, expected token %d", w, a.place.RawToken())
	}
	a.hand("bye")
	next.mustBeGranted()
	if w := next.place.Ahead(); w != (lock.Waiter{}) {
		b.Fatalf("the holder has %+v ahead", w)
	}
}

// testDiagnose: doctor's lines have a level, say something, and offer a way out of what is not ok. It
// does not join.
func testDiagnose(b *bench) {
	a := b.holder("a")
	lines := a.driver.Diagnose(b.ctx)
	if len(lines) == 0 {
		b.Fatal("no diagnosis")
	}
	for _, d := range lines {
		known := d.Level == "ok" || d.Level == "warn" || d.Level == "fail"
		if !known || d.What == "" || (d.Level != "ok" && d.Do == "") {
			b.Errorf("diagnosis %+v: expected level ok, warn or fail, what, and the way out", d)
		}
	}
	if v := b.view(a.driver); len(v.Queue) != 1 {
		b.Fatalf("after a diagnosis the queue is %+v, expected the holder alone", v.Queue)
	}
}

// testWatches: n contenders cost the service n+1 watches (the next in line has a second one), however
// long they wait.
func testWatches(b *bench) {
	b.need(b.lock.Watches != nil, "count its watches")
	a := b.holder("a")
	v := a.write("one", lock.Version{}, lock.Committed).Version
	const n = 6
	for i := 1; i < n; i++ {
		c := b.waiting(fmt.Sprint("c", i))
		b.eventually(b.soon(), c.name+" sees the record", func() bool { return c.hasSeen(v) })
	}
	for range 5 {
		v = a.write("more", v, lock.Committed).Version
	}
	b.eventually(b.soon(), fmt.Sprintf("%d contenders have at most %d watches", n, n+1), func() bool {
		count := b.lock.Watches(b.T)
		return count > 0 && count <= n+1
	})
}
