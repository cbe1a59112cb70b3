package locks

import (
	"fmt"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// view is what tests read of `lock show --json`.
type view struct {
	Lock  string
	Held  bool
	Queue []struct{ Holder, Token, Key, Since string }
	Age   float64 `json:"heartbeat_age_seconds"`
	*record
}

func (r *rig) show(t testing.TB) view {
	t.Helper()
	v := view{}
	r.ShowLock(t, &v)
	return v
}

func TestLockShow(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		r := b.fresh(t, "")
		_, text, _ := scene.Interlock(t, "lock", "show", "--lock", r.Lock)
		if says(t, text, "a first start waits the hold"); contains(text, "only if a claim") != (b.name == "file") {
			t.Errorf("without a record: %q", text)
		}
		r.initialise(t)
		if v := r.show(t); v.Held || len(v.Queue) != 0 || v.Lock != r.Lock {
			t.Errorf("of a free lock: %+v", v)
		}
		_, text, _ = scene.Interlock(t, "lock", "show", "--lock", r.Lock)
		says(t, text, "holder", "none", "drained")
		began := time.Now()
		token, _ := r.serves(t, r.Run(t, "a"), 5*time.Second)
		waiters := 0
		if b.name != "file" { // who waits for a file is not known
			r.Run(t, "b")
			r.queued(t, 2)
			waiters = 1
		}
		v := r.show(t)
		if !v.Held || len(v.Queue) != 1+waiters || v.Queue[0].Holder != "a" || v.Queue[0].Token != token {
			t.Fatalf("%+v: expected a to hold with token %s, and %d behind", v, token, waiters)
		}
		since, err := time.Parse(time.RFC3339, v.Queue[0].Since)
		if err != nil || since.Before(began.Add(-2*time.Second)) || since.After(time.Now().Add(2*time.Second)) {
			t.Errorf("since %q (%v): expected a moment ago", v.Queue[0].Since, err)
		}
		if v.Age < 0 || v.Age > 2 {
			t.Errorf("the last heartbeat is %v s old", v.Age)
		}
		_, text, _ = scene.Interlock(t, "lock", "show", "--lock", r.Lock)
		says(t, text, "holder", "a", "token "+token, "running by a", "ago")
		if waiters > 0 {
			says(t, text, "waits", "b")
			if v.Queue[1].Holder != "b" {
				t.Errorf("the second in the queue is %+v", v.Queue[1])
			}
		}
	})
}

// `lock init` on a lock that is held is 75; an existing record is never changed.
func TestInit(t *testing.T) {
	each(t, func(t *testing.T, b backend) {
		r := b.fresh(t, "")
		r.initialise(t)
		before, _ := r.Record(t)
		code, out, _ := scene.Interlock(t, "lock", "init", "--lock", r.Lock)
		if after, _ := r.Record(t); code != 0 || after != before {
			t.Errorf("a second init (%d): record %s, was %s", code, after, before)
		}
		says(t, out, "not changed")
		if keys := r.Keys(t); len(keys) != 0 {
			t.Errorf("keys left: %v", keys)
		}
		a := r.Run(t, "a")
		token, _ := r.serves(t, a, 5*time.Second)
		code, _, errs := scene.Interlock(t, "lock", "init", "--lock", r.Lock)
		if code != 75 {
			t.Errorf("init on a held lock: %d: expected 75", code)
		}
		says(t, errs, "a holds it", token)
		if rec := r.read(t); rec.Holder != "a" || rec.Phase != "running" {
			t.Errorf("the holder's record is now %+v", rec)
		}
		killBoth(t, a)
		held, _ := r.Record(t)
		if b.name == "file" { // the kernel frees it, once it has closed the last descriptor of the dead
			testkit.Wait(t, 5*time.Second, func() (bool, string) {
				code, _, errs := scene.Interlock(t, "lock", "init", "--lock", r.Lock)
				return code == 0, fmt.Sprintf("init: %d: %s", code, errs)
			})
		} else {
			testkit.Wait(t, 15*time.Second, func() (bool, string) { return len(r.Keys(t)) == 0, "the dead holder's key is still there" })
			r.initialise(t)
		}
		if after, _ := r.Record(t); after != held {
			t.Errorf("init changed the record of a holder that never said dead: %s, was %s", after, held)
		}
	})
}
