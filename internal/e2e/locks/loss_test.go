package locks

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A lock key that an operator removes while the payload runs: dead within a second, exit 76, and the
// record is not touched by the loser, so that the successor waits the hold.
func TestKeyRemoved(t *testing.T) {
	remote(t, func(t *testing.T, b backend) {
		for _, way := range []string{"delete", "revoke"} {
			if way == "revoke" && b.name == "zk" {
				continue // ZooKeeper has no such order
			}
			t.Run(way, func(t *testing.T) { t.Parallel(); keyRemoved(t, b, way) })
		}
	})
}

func keyRemoved(t *testing.T, b backend, way string) {
	r := b.fresh(t, "")
	r.Timing = timing("--grace", "0s", "--kill-budget", "2s") // time for the guard to have its word on a busy machine
	r.initialise(t)
	a := r.Run(t, "a", r.Payload(t, "-ignore-term"))
	first, _ := r.serves(t, a, 5*time.Second)
	next := r.Run(t, "b")
	keys := r.queued(t, 2)
	removed := scene.Now()
	if way == "revoke" {
		r.service.(etcdService).ctl(t, "lease", "revoke", keys[0][strings.LastIndex(keys[0], "/")+1:])
	} else {
		r.RemoveKey(t, keys[0])
	}
	gone := scene.Now() // etcdctl itself takes its time
	why := a.Expect(t, 5*time.Second, 76)
	says(t, why, "lock key is gone")
	if rec := r.read(t); rec.Phase == "dead" || rec.Phase == "drained" || rec.Holder == "a" && rec.Phase != "running" {
		t.Errorf("after the loss the record says %+v", rec)
	}
	atMost(t, "from the removal to the payload's death", r.last(t, first)-gone, time.Second)
	_, at := r.serves(t, next, 10*time.Second)
	atLeast(t, "from the removal to the successor's start", at-removed, scene.Hold-700*time.Millisecond)
	atMost(t, "from the removal to the successor's start", at-removed, scene.Hold+2*time.Second)
	stopped(t, next)
	r.Judge(t)
}

// A state record that is removed costs nothing: the run goes on and writes it again.
func TestRecordRemoved(t *testing.T) {
	remote(t, func(t *testing.T, b backend) {
		r := b.fresh(t, "")
		r.initialise(t)
		a := r.Run(t, "a")
		token, _ := r.serves(t, a, 5*time.Second)
		for range 3 {
			r.RemoveRecord(t)
			testkit.Wait(t, 3*time.Second, func() (bool, string) { _, ok := r.Record(t); return ok, "the record does not come back" })
			if rec := r.read(t); rec.Phase != "running" || rec.Token != token || rec.WaitMS != scene.Hold.Milliseconds() {
				t.Errorf("the record came back as %+v", rec)
			}
		}
		stopped(t, a)
		if rec := r.read(t); rec.Phase != "drained" {
			t.Errorf("at the end the record says %+v", rec)
		}
		if r.Count(t, "begin") != 1 || r.Count(t, "signal-15") != 1 {
			t.Error("the payload was disturbed")
		}
	})
}

// aRecord is one that nobody need fear, with some fields at other values.
func aRecord(token uint64, phase string, waitMS int64, more string) string {
	return fmt.Sprintf(`{"v":1,"token":"%d","holder":"old","node":"n9","boot_id":"b9","phase":"%s","wait_ms":%d,"settle_ms":0%s,"at":"2026-01-01T00:00:00Z"}`, token, phase, waitMS, more)
}

// refused runs a contender that must end with the code, having written nothing.
func (r *rig) refused(t *testing.T, name string, code int, put string, flags ...string) string {
	t.Helper()
	r.PutRecord(t, put)
	why := r.Run(t, name, scene.Flags(flags...)).Expect(t, 10*time.Second, code)
	if got, _ := r.Record(t); got != put {
		t.Errorf("%s: the record was changed to %s", name, got)
	}
	if keys := r.Keys(t); len(keys) != 0 {
		t.Errorf("%s: keys left: %v", name, keys)
	}
	if len(r.Lines(t)) != 0 {
		t.Errorf("%s: a payload was started", name)
	}
	return why
}

// What cannot be judged is refused, never guessed.
func TestUnusableRecord(t *testing.T) {
	remote(t, func(t *testing.T, b backend) {
		r := b.fresh(t, "")
		for _, c := range []struct{ name, put, says string }{
			{"corrupt", "\x01\x02 not json", "JSON"},
			{"cut", aRecord(1, "running", 4000, "")[:40], "JSON"},
			{"format", strings.Replace(aRecord(1, "running", 4000, ""), `"v":1`, `"v":9`, 1), `"old"`},
			{"negative", aRecord(1, "running", -1, ""), `"old"`},
			{"absurd", aRecord(1, "running", 60_001, ""), `"old"`},
			{"absurd-waiting", aRecord(1, "waiting", 66_001, ""), `"old"`},
			{"phase", aRecord(1, "sleeping", 1, ""), `"old"`},
			{"token-zero", aRecord(0, "drained", 0, ""), `"old"`},
		} {
			says(t, r.refused(t, c.name, 78, c.put), c.says)
		}
	})
}

// A token that would go back is refused, with the way out, and the way out works.
func TestTokenEpoch(t *testing.T) {
	remote(t, func(t *testing.T, b backend) {
		r := b.fresh(t, "")
		const old = uint64(1) << 50
		says(t, r.refused(t, "back", 78, aRecord(old, "drained", 0, "")), "--token-epoch")
		a := r.Run(t, "raised", scene.Flags("--token-epoch", "1"))
		r.serves(t, a, 5*time.Second)
		if got := r.Lines(t)[0].Token; got <= old || got >= 1<<63 {
			t.Errorf("INTERLOCK_TOKEN is %d: expected more than %d, in 63 bits", got, old)
		}
		stopped(t, a)
		raised, _ := r.Record(t)
		a = r.Run(t, "lowered")
		says(t, a.Expect(t, 10*time.Second, 78), "--token-epoch")
		if now, _ := r.Record(t); now != raised {
			t.Errorf("the refused contender changed the record to %s", now)
		}
		a = r.Run(t, "again", scene.Flags("--token-epoch", "1"))
		r.serves(t, a, 5*time.Second)
		stopped(t, a)
		r.Judge(t)
	})
}

// --require-drained takes over from nobody whose late writes are possible.
func TestRequireDrained(t *testing.T) {
	remote(t, func(t *testing.T, b backend) {
		r := b.fresh(t, "")
		volumes := `,"volumes":["nas:/orders /data"]`
		why := r.refused(t, "dead", 72, aRecord(1, "dead", 0, volumes), "--require-drained")
		says(t, why, "nas:/orders")
		r.refused(t, "running", 72, aRecord(1, "running", 4000, volumes), "--require-drained")
		r.refused(t, "owes", 72, aRecord(1, "waiting", 100, `,"owes":[{"token":"1","node":"n8","boot_id":"b8","volumes":["nas:/orders /data"]}]`), "--require-drained")
		r.RemoveRecord(t)
		says(t, r.Run(t, "absent", scene.Flags("--require-drained")).Expect(t, 10*time.Second, 72), "lock init")
		if _, ok := r.Record(t); ok {
			t.Error("the refused contender wrote a record")
		}
		r.PutRecord(t, aRecord(1, "dead", 0, ""))
		began := scene.Now()
		a := r.Run(t, "local", scene.Flags("--require-drained"))
		_, at := r.serves(t, a, 5*time.Second)
		atMost(t, "taking over from the dead", at-began, scene.Hold/2)
		stopped(t, a)
		r.PutRecord(t, aRecord(1, "drained", 0, volumes)) // says itself that they have arrived
		r.serves(t, r.Run(t, "drained", scene.Flags("--require-drained")), 5*time.Second)
	})
}

// Whoever takes over from a holder whose network volumes are not drained says so, in the log, the status and the
// metrics, also where that is another's debt (E7); after one that was drained there is nothing to say.
func TestLateWritesAreSaid(t *testing.T) {
	const volume = "nas:/orders /data"
	remote(t, func(t *testing.T, b backend) {
		for name, c := range map[string]struct {
			put  string
			said bool
		}{
			"dead":    {aRecord(1, "dead", 0, `,"volumes":["`+volume+`"]`), true},
			"owed":    {aRecord(1, "dead", 0, `,"owes":[{"token":"1","node":"n8","boot_id":"b8","volumes":["`+volume+`"]}]`), true},
			"drained": {aRecord(1, "drained", 0, `,"volumes":["`+volume+`"]`), false},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := b.fresh(t, "")
				r.PutRecord(t, c.put)
				a := r.Run(t, "a")
				r.serves(t, a, 20*time.Second)
				_, text, errs := scene.Interlock(t, "status", "--listen", "unix:"+a.Socket())
				_, metrics, err := a.Get("/metrics")
				must(t, err)
				stopped(t, a)
				for what, said := range map[string]bool{
					"log":     strings.Contains(a.Stderr(t), "late writes of an earlier holder are possible") && strings.Contains(a.Stderr(t), volume),
					"status":  strings.Contains(text, volume),
					"metrics": strings.Contains(metrics, "\ninterlock_late_writes_possible 1\n"),
				} {
					if said != c.said {
						t.Errorf("%s speaks of late writes: %v, expected %v (%s%s)", what, said, c.said, text, errs)
					}
				}
			})
		}
	})
}

// A record written by another tenure, although our key is there: LOST, and never overwritten (W2).
func TestRecordOverwritten(t *testing.T) {
	remote(t, func(t *testing.T, b backend) {
		for name, put := range map[string]string{
			"other":   aRecord(1, "running", 4000, ""),
			"corrupt": "scribble",
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := b.fresh(t, "")
				r.Timing = timing("--grace", "0s", "--kill-budget", "2s") // time for the guard to have its word on a busy machine
				r.initialise(t)
				a := r.Run(t, "a", r.Payload(t, "-ignore-term"))
				token, _ := r.serves(t, a, 5*time.Second)
				at := scene.Now()
				r.PutRecord(t, put)
				a.Expect(t, 5*time.Second, 76)
				atMost(t, "from the loss to the payload's death", r.last(t, token)-at, 1500*time.Millisecond)
				if now, _ := r.Record(t); now != put {
					t.Errorf("the loser wrote %s", now)
				}
			})
		}
	})
}
