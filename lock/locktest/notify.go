package locktest

import (
	"fmt"

	"github.com/interlock-run/interlock/lock"
)

// queueBehind joins n contenders, one after the other; the first of them has seen the record at v.
func (b *bench) queueBehind(n int, v lock.Version) []*contender {
	b.Helper()
	var all []*contender
	for i := range n {
		c := b.waiting(fmt.Sprint("c", i))
		b.eventually(b.soon(), c.name+" waits", func() bool { return c.place.Ahead() != (lock.Waiter{}) && c.hasSeen(v) })
		all = append(all, c)
	}
	return all
}

// quiet waits until the service has notified nobody for a while, and returns its count.
func (b *bench) quiet() int {
	b.Helper()
	last, same := -1, 0
	b.eventually(b.soon(), "nobody is notified any more", func() bool {
		now := b.lock.Notified(b.T)
		if now != last {
			last, same = now, 0
		}
		same++
		return same > 10
	})
	return last
}

// testHeartbeatNotifiesOne: however many wait, only the next in line hears of a heartbeat.
func testHeartbeatNotifiesOne(b *bench) {
	b.need(b.lock.Notified != nil, "count its notifications")
	a := b.holder("a")
	v := a.write("running", lock.Version{}, lock.Committed).Version
	next := b.queueBehind(6, v)[0]
	before := b.quiet()
	const beats = 5
	for range beats {
		v = a.write("running", v, lock.Committed).Version
		b.eventually(b.soon(), "the next in line sees a heartbeat", func() bool { return next.hasSeen(v) })
	}
	if n := b.quiet() - before; n != beats {
		b.Fatalf("%d heartbeats notified %d contenders in all, expected one each", beats, n)
	}
}

// testReleaseNotifiesFew: a release wakes the next in line, which then tells the one behind it. The rest,
// most of them here, hear nothing.
func testReleaseNotifiesFew(b *bench) {
	b.need(b.lock.Notified != nil, "count its notifications")
	a := b.holder("a")
	v := a.write("running", lock.Version{}, lock.Committed).Version
	waiting := b.queueBehind(16, v)
	before := b.quiet()
	a.release("drained", v, lock.Committed)
	waiting[0].mustBeGranted()
	const most = 6 // record and key to the next, the key to its own watch, and twice the one behind
	if n := b.quiet() - before; n < 1 || n > most {
		b.Fatalf("a release with %d waiting made %d notifications, expected 1 to %d", len(waiting), n, most)
	}
}
