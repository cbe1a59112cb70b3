package foreign

import (
	"fmt"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// start is what a begin may take on a loaded machine, a JVM included.
const start = 6 * time.Second

// each runs a test for each kind of peer.
func each(t *testing.T, test func(t *testing.T, k kind)) {
	t.Parallel()
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

// Peers and interlocks take turns in the order of the queue. An interlock behind a peer waits for its
// release and then the own hold; a peer behind an interlock gets the lock at its release, at once.
func TestTurns(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		r := fresh(t, k)
		r.initialise(t)
		first := r.peer(t, k)
		first.begins(t, 20*time.Second)
		a := r.run(t, "a")
		r.queued(t, 2)
		last := r.peer(t, k)
		r.queued(t, 3)
		testkit.Wait(t, 5*time.Second, func() (bool, string) {
			st, err := a.Status()
			return err == nil && st.Phase == "locking" && st.Lock.Ahead != "", fmt.Sprintf("a says %+v (%v) behind a peer that holds", st, err)
		})
		ended := scene.Now()
		first.ends(t)
		at := r.begun(t, a, scene.Hold+15*time.Second)
		atLeast(t, "from the peer's end to our start", at-ended, scene.Hold)
		atMost(t, "from the peer's end to our start", at-ended, scene.Hold+start)
		if last.work(t) != 0 {
			t.Error("the peer behind us runs beside us")
		}
		stopped(t, a)
		last.begins(t, start)
		last.ends(t)
		if order := r.Judge(t); len(order) != 3 {
			t.Errorf("tenures %v, expected three", order)
		}
	})
}

// A peer whose machine dies keeps the lock until its session has run out; then we wait the own hold.
func TestPeerDies(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		r := fresh(t, k)
		r.initialise(t)
		first := r.peer(t, k)
		first.begins(t, 20*time.Second)
		a := r.run(t, "a")
		r.queued(t, 2)
		at := r.begunAfter(t, a, first.dies(t))
		atLeast(t, "from the peer's death to our start", at, scene.Hold+session/2)
		atMost(t, "from the peer's death to our start", at, session+scene.Hold+start)
		stopped(t, a)
		r.Judge(t)
	})
}

func (r *rig) begunAfter(t testing.TB, j *scene.Job, since time.Duration) time.Duration {
	t.Helper()
	return r.begun(t, j, session+scene.Hold+15*time.Second) - since
}

// Between interlocks nothing changes: a holder that drained is followed at once (whoever waits needs the hold and more), by whoever waited as by
// whoever came later, if no peer was between; and holders are not disturbed by the proofs.
func TestInterlocksAmongThemselves(t *testing.T) {
	t.Parallel()
	for _, k := range []kind{kinds()[0], kinds()[1]} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			r := fresh(t, k)
			r.initialise(t)
			a := r.run(t, "a")
			began := scene.Now()
			atMost(t, "the start on a lock that nobody used", r.begun(t, a, 10*time.Second)-began, scene.Hold)
			b := r.run(t, "b")
			r.queued(t, 2)
			<-time.After(scene.Hold) // several proofs
			ended := scene.Now()
			stopped(t, a)
			atMost(t, "from a holder's end to the start of the next in line", r.begun(t, b, 10*time.Second)-ended, scene.Hold)
			stopped(t, b)
			ended = scene.Now()
			c := r.run(t, "c")
			atMost(t, "from a holder's end to a later start", r.begun(t, c, 10*time.Second)-ended, scene.Hold)
			stopped(t, c)
			p := r.peer(t, k)
			p.begins(t, 20*time.Second)
			p.ends(t)
			ended = scene.Now()
			d := r.run(t, "d")
			atLeast(t, "from the end of a peer that came between to our start", r.begun(t, d, 20*time.Second)-ended, scene.Hold)
			stopped(t, d)
			if order := r.Judge(t); len(order) != 5 {
				t.Errorf("tenures %v, expected five", order)
			}
		})
	}
}
