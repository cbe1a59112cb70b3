package locks

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A tick is how long after its timeout a service may notice it: ZooKeeper by its buckets, etcd by its
// lessor's rounds; start is a loaded machine's.
const (
	serverTick = time.Second
	start      = 2 * time.Second
	// beatSlack is how much older than the kill the last heartbeat may be.
	beatSlack = 700 * time.Millisecond
)

// A holder is killed and its key removed: the successor waits what the record says, writing what is left.
// It is killed in that hold-off; the third one neither starts early nor begins the wait anew (T4).
func TestKilledInTheHoldOff(t *testing.T) {
	remote(t, func(t *testing.T, b backend) {
		r := b.fresh(t, "")
		r.initialise(t)
		a := r.Run(t, "a", r.Payload(t, "-ignore-term"))
		first, _ := r.serves(t, a, 5*time.Second)
		next := r.Run(t, "b")
		r.queued(t, 2)
		third := r.Run(t, "c")
		keys := r.queued(t, 3)
		dead := killBoth(t, a)
		r.RemoveKey(t, keys[0])
		var rec record
		testkit.Wait(t, 6*time.Second, func() (bool, string) {
			rec = r.read(t)
			return rec.Holder == "b" && rec.Phase == "waiting" && rec.WaitMS <= 1700, fmt.Sprintf("the record says %+v", rec)
		})
		if len(rec.Owes) != 1 {
			t.Errorf("the record in the hold-off is %+v: expected it to name a in owes", rec)
		}
		if st, err := next.Status(); err != nil || st.Phase != "holding-off" || st.Payload.PID != 0 {
			t.Errorf("b is %s with payload %d (%v): expected holding-off without one", st.Phase, st.Payload.PID, err)
		}
		killBoth(t, next)
		r.RemoveKey(t, keys[1])
		_, at := r.serves(t, third, 10*time.Second)
		atLeast(t, "the third one's start after the holder's death", at-dead, scene.Hold-beatSlack)
		atMost(t, "the third one's start after the holder's death", at-dead, scene.Hold+1500*time.Millisecond)
		atMost(t, "the payload's death after its supervisors'", r.last(t, first)-dead, time.Second)
		stopped(t, third)
		if rec := r.read(t); rec.Phase != "drained" || len(rec.Owes) != 0 {
			t.Errorf("at the end the record says %+v", rec)
		}
		if order := r.Judge(t); len(order) != 2 {
			t.Errorf("tenures %v: expected a's and c's", order)
		}
	})
}

// Nobody removes a key: take-over within the bound of protocol.md section 7, one crash after the other.
func TestTakeOverBound(t *testing.T) {
	remote(t, func(t *testing.T, b backend) {
		r := b.fresh(t, "")
		r.initialise(t)
		a := r.Run(t, "a")
		r.serves(t, a, 5*time.Second)
		next := r.Run(t, "b")
		r.queued(t, 2)
		third := r.Run(t, "c")
		r.queued(t, 3)
		dead := killBoth(t, a)
		_, at := r.serves(t, next, 15*time.Second)
		// b was next in line and watched: the wait runs beside the expiry.
		atLeast(t, "first take-over", at-dead, scene.Hold-beatSlack)
		atMost(t, "first take-over", at-dead, scene.Hold+serverTick+start)
		fourth := r.Run(t, "d")
		r.queued(t, 3)
		dead = killBoth(t, next)
		killBoth(t, third) // while it waits: d is not next in line until its key expires
		_, at = r.serves(t, fourth, 25*time.Second)
		atLeast(t, "second take-over", at-dead, scene.Hold-beatSlack)
		atMost(t, "second take-over", at-dead, scene.Hold+serverTick+scene.Hold+start)
		stopped(t, fourth)
		if order := r.Judge(t); len(order) != 3 {
			t.Errorf("tenures %v: expected three", order)
		}
	})
}

// What counts is the hold of the one who died, not our own.
func TestRecordsHoldCounts(t *testing.T) {
	remote(t, func(t *testing.T, b backend) {
		r := b.fresh(t, "")
		r.initialise(t)
		own := r.Timing
		r.Timing = timing("--hold", "8s")
		a := r.Run(t, "a")
		r.serves(t, a, 5*time.Second)
		r.Timing = own
		next := r.Run(t, "b")
		keys := r.queued(t, 2)
		dead := killBoth(t, a)
		r.RemoveKey(t, keys[0])
		_, at := r.serves(t, next, 15*time.Second)
		atLeast(t, "take-over from a hold of 8 s", at-dead, 8*time.Second-beatSlack)
		atMost(t, "take-over from a hold of 8 s", at-dead, 8*time.Second+start)
		r.Judge(t)
	})
}

// TERM in the hold-off ends at once: the key goes, the record stays, so that the next one neither starts
// early nor has to begin anew (T7).
func TestTermInTheHoldOff(t *testing.T) {
	remote(t, func(t *testing.T, b backend) {
		r := b.fresh(t, "")
		r.initialise(t)
		a := r.Run(t, "a")
		r.serves(t, a, 5*time.Second)
		next := r.Run(t, "b")
		r.queued(t, 2)
		third := r.Run(t, "c")
		keys := r.queued(t, 3)
		dead := killBoth(t, a)
		r.RemoveKey(t, keys[0])
		next.WaitPhase(t, 5*time.Second, "holding-off")
		testkit.Wait(t, 5*time.Second, func() (bool, string) {
			rec := r.read(t)
			return rec.Holder == "b" && rec.WaitMS < 3000, fmt.Sprintf("the record says %+v", rec)
		})
		told := scene.Now()
		next.Signal(t, syscall.SIGTERM)
		next.Expect(t, 5*time.Second, 128+int(syscall.SIGTERM))
		atMost(t, "end after TERM", scene.Now()-told, 1500*time.Millisecond)
		if left := r.Keys(t); len(left) != 1 || left[0] != keys[2] {
			t.Errorf("keys after b's end: %v, expected c's alone", left)
		}
		if rec := r.read(t); rec.Phase != "waiting" {
			t.Errorf("after b's end the record says %+v: expected what was left to wait", rec)
		}
		_, at := r.serves(t, third, 10*time.Second)
		atLeast(t, "c's start after a's death", at-dead, scene.Hold-beatSlack)
		atMost(t, "c's start after a's death", at-dead, scene.Hold+1500*time.Millisecond)
		if order := r.Judge(t); len(order) != 2 {
			t.Errorf("tenures %v: expected a's and c's", order)
		}
	})
}
