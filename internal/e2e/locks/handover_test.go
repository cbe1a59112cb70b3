package locks

import (
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
)

// A clean hand-over waits no hold: the record says drained, and the next in line starts as soon as the
// payload is dead. Others go on waiting, in order.
func TestHandOver(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		r := b.fresh(t, "")
		r.initialise(t)
		a := r.Run(t, "a", r.Payload(t, "-slow-stop", "300ms"))
		first, _ := r.serves(t, a, 3*time.Second)
		next := r.Run(t, "b")
		next.WaitPhase(t, 10*time.Second, "locking")
		if b.name != "file" {
			r.queued(t, 2)
		}
		third := r.Run(t, "c")
		third.WaitPhase(t, 10*time.Second, "locking")
		if b.name != "file" {
			r.queued(t, 3)
		}
		stopped(t, a)
		next, third = firstToServe(t, b, next, third)
		second, at := r.serves(t, next, 5*time.Second)
		atMost(t, "from the death of the old payload to the new one's start", at-r.last(t, first), scene.Hold/2)
		atLeast(t, "from the death of the old payload to the new one's start", at-r.last(t, first), 0)
		if st, err := third.Status(); err != nil || st.Phase != "locking" || st.Lock.Held {
			t.Errorf("the third contender is %s, held %v (%v): expected it to go on waiting", st.Phase, st.Lock.Held, err)
		}
		stopped(t, next)
		_, at = r.serves(t, third, 5*time.Second)
		atMost(t, "second hand-over", at-r.last(t, second), scene.Hold/2)
		stopped(t, third)
		if rec := r.read(t); rec.Phase != "drained" || rec.Holder != third.Holder || rec.WaitMS != 0 {
			t.Errorf("at the end the record says %+v: expected drained, by the last holder", rec)
		}
		if keys := r.Keys(t); len(keys) != 0 {
			t.Errorf("keys left: %v", keys)
		}
		if order := r.Judge(t); len(order) != 3 {
			t.Errorf("tenures %v: expected three", order)
		}
	})
}

// firstToServe sorts two waiting jobs by who got the lock. On a service it must be the one that came first;
// a lock on a file has no order.
func firstToServe(t *testing.T, b backend, next, third *scene.Job) (*scene.Job, *scene.Job) {
	t.Helper()
	for range 500 {
		for _, pair := range [][2]*scene.Job{{next, third}, {third, next}} {
			if st, err := pair[0].Status(); err == nil && st.Lock.Held {
				if pair[0] != next && b.name != "file" {
					t.Errorf("%s overtook %s in the queue", pair[0].Holder, next.Holder)
				}
				return pair[0], pair[1]
			}
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatal("nobody took the lock")
	return nil, nil
}

// A record that is not there says nothing of who ran before: the first start waits the hold, unless
// `lock init` made one. The lock on a file is of one host, whose claim is proof.
func TestInitSparesTheHold(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		r := b.fresh(t, "")
		began := scene.Now()
		a := r.Run(t, "a")
		if b.name == "file" {
			_, at := r.serves(t, a, 5*time.Second)
			atMost(t, "first start", at-began, scene.Hold/2)
			stopped(t, a)
			return
		}
		st := a.WaitPhase(t, 5*time.Second, "holding-off")
		if st.Payload.PID != 0 {
			t.Error("a payload runs in the hold-off")
		}
		rec := r.waitRecord(t)
		if rec.Phase != "waiting" || len(rec.Owes) != 1 || string(rec.Owes[0]) != `"unknown"` {
			t.Errorf("the record in the hold-off is %+v: expected waiting, owing an unknown holder", rec)
		}
		_, at := r.serves(t, a, 10*time.Second)
		atLeast(t, "first start without a record", at-began, scene.Hold)
		atMost(t, "first start without a record", at-began, scene.Hold+3*time.Second)
		stopped(t, a)
		other := b.fresh(t, "")
		other.initialise(t)
		began = scene.Now()
		_, at = other.serves(t, other.Run(t, "a"), 5*time.Second)
		atMost(t, "first start after lock init", at-began, scene.Hold/2)
	})
}
