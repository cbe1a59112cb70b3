package warm

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A run is not ready before everything is loaded, and then everything is there; a stop in between is an
// ordinary one.
func TestReadyWhenWarm(t *testing.T) {
	for name, place := range map[string]func(testing.TB) *depot{"directory": inDirectory, "S3": inS3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			readyWhenWarm(t, place(t))
		})
	}
}

func readyWhenWarm(t *testing.T, d *depot) {
	const n = 10_000
	from := filled(t, n)
	d.dump(t, from.Addr())
	s := newService(t, d)
	j := s.start(t, "--warm-budget-rate", "4000")
	j.WaitPhase(t, limit, "warming")
	if code, body, err := j.Get("/readyz"); err != nil || code == http.StatusOK {
		t.Errorf("ready while warming: %d %s %v", code, body, err)
	}
	j.WaitPhase(t, limit, "serving")
	if w := statusOf(t, j); w.Result != "warm" || w.Load.Loaded != n || w.Fraction != 1 {
		t.Errorf("%+v", w)
	}
	if _, body, err := j.Get("/metrics"); err != nil || !strings.Contains(body, `interlock_warm_state{state="warm"} 1`) || !strings.Contains(body, "interlock_warm_items 10000") {
		t.Errorf("%v %s", err, body)
	}
	same(t, from.Addr(), s.socket, n)
	j.Stop(t)
}

// With a fraction the run is ready when that is loaded, and the rest follows; at_once it is ready before.
func TestReadyEarly(t *testing.T) {
	t.Parallel()
	const n = 10_000
	from := filled(t, n)
	for ready, least := range map[string]int64{"0.3": n * 3 / 10, "at_once": 0} {
		d := inDirectory(t) // a repository belongs to one lock
		d.dump(t, from.Addr())
		s := newService(t, d)
		j := s.start(t, "--warm-budget-rate", "3000", "--warm-ready", ready)
		j.WaitPhase(t, limit, "serving")
		var got int64
		testkit.Wait(t, limit, func() (bool, string) { got = items(t, s.socket); return got >= 0, "no memcached yet" })
		if got < least || got >= n {
			t.Errorf("%s: ready with %d items of %d", ready, got, n)
		}
		testkit.Wait(t, limit, func() (bool, string) { w := statusOf(t, j); return w.Result == "warm", w.Result })
		same(t, from.Addr(), s.socket, n)
		j.Stop(t)
	}
}

// Without a dump the policy decides: ready and cold, or the end of the run.
func TestNoDump(t *testing.T) {
	t.Parallel()
	d := inDirectory(t)
	s := newService(t, d)
	j := s.start(t)
	j.WaitPhase(t, limit, "serving")
	if w := statusOf(t, j); w.Result != "cold" || !strings.Contains(w.Failure, "no dump") {
		t.Errorf("%+v", w)
	}
	j.Stop(t)
	if reason := s.start(t, "--warm-if-cold", "stop").Expect(t, limit, 66); !strings.Contains(reason, "no dump") {
		t.Errorf("%s", reason)
	}
}

// Without a dump, as at the very first start, the command that warms the rest runs nonetheless, before the service is
// ready; that the load failed is still said.
func TestCommandWithoutADump(t *testing.T) {
	t.Parallel()
	d := inDirectory(t)
	s := newService(t, d)
	mark := filepath.Join(s.Dir, "warmed")
	j := s.start(t, "--warm-exec", `["touch","`+mark+`"]`)
	j.WaitPhase(t, limit, "serving")
	if w := statusOf(t, j); w.Result != "cold" || !strings.Contains(w.Failure, "no dump") {
		t.Errorf("%+v", w)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Error(err)
	}
	j.Stop(t)
}

// The lock is lost while the cache is filled: everything dies at once, whatever grace there is.
func TestLockLostWhileWarming(t *testing.T) {
	t.Parallel()
	from, d := filled(t, 10_000), inDirectory(t)
	d.dump(t, from.Addr())
	s := newService(t, d)
	j := s.start(t, "--warm-budget-rate", "200")
	j.WaitPhase(t, limit, "warming")
	testkit.Wait(t, limit, func() (bool, string) { return items(t, s.socket) > 0, "nothing is loaded yet" })
	tree := testkit.Snapshot(t, j.Pid())
	must(t, os.Remove(filepath.Join(s.Dir, "lock")))
	j.Expect(t, limit, 76)
	if left := tree.Alive(); len(left) > 0 {
		t.Errorf("%v outlived the run", left)
	}
	if log := j.Stderr(t); strings.Contains(log, "msg=losing") || !strings.Contains(log, "msg=killing from=warming") {
		t.Errorf("it was not killed at once: %s", log)
	}
}

// A stop while the cache is filled ends the load and the service in order.
func TestStopWhileWarming(t *testing.T) {
	t.Parallel()
	from, d := filled(t, 10_000), inDirectory(t)
	d.dump(t, from.Addr())
	s := newService(t, d)
	j := s.start(t, "--warm-budget-rate", "200")
	j.WaitPhase(t, limit, "warming")
	if code := j.Stop(t); code != 0 && code != 143 { // memcached ends by itself on TERM, once it knows how
		t.Errorf("ended with %d: %s", code, j.ReasonText())
	}
	if log := j.Stderr(t); !strings.Contains(log, "msg=stopping from=warming") || !strings.Contains(log, "a load was under way: it is killed") {
		t.Errorf("%s", log)
	}
}

// A run dumps by its schedule, under its token, and the next run is warm from that.
func TestSchedule(t *testing.T) {
	t.Parallel()
	const n = 3000
	from, d := filled(t, n), inDirectory(t)
	d.dump(t, from.Addr())
	s := newService(t, d)
	j := s.start(t, "--warm-schedule", "1s")
	j.WaitPhase(t, limit, "serving")
	testkit.Wait(t, limit, func() (bool, string) {
		st, err := j.Status()
		return err == nil && st.Snapshots != nil && st.Snapshots.Backups["published"] >= 2, "no dumps yet"
	})
	j.Stop(t)
	if got := d.snapshots(t); got != 2 {
		t.Errorf("%d dumps stay, want 2", got)
	}
	if out := d.want(t, 0, "snapshots"); strings.Contains(out, " 0 ") && !strings.Contains(out, " 1 ") {
		t.Errorf("no dump has the run's token: %s", out)
	}
	from.Kill(t) // from here on there is only what the run has dumped
	next := s.start(t)
	next.WaitPhase(t, limit, "serving")
	if w := statusOf(t, next); w.Load.Loaded != n {
		t.Errorf("%+v", w)
	}
	next.Stop(t)
}

// A command warms anything: the run is ready once it has ended, and not if it fails and that counts.
func TestCommand(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	gate := filepath.Join(s.Dir, "gate")
	j := s.Run(t, "a", scene.Flags("--warm-exec", `["sh","-c","while ! test -e `+gate+`; do sleep 0.05; done"]`))
	j.WaitPhase(t, limit, "warming")
	must(t, os.WriteFile(gate, nil, 0o600))
	j.WaitPhase(t, limit, "serving")
	j.Stop(t)
	s.Run(t, "c", scene.Flags("--warm-exec", `["false"]`, "--warm-if-cold", "stop")).Expect(t, limit, 73)
}

// memcached's own warm restart is used where it works; where it does not, after a kill, the dump is.
func TestOwnRestart(t *testing.T) {
	t.Parallel()
	const n = 3000
	from, d := filled(t, n), inDirectory(t)
	d.dump(t, from.Addr())
	s := newService(t, d)
	s.extra = []string{"-e", filepath.Join(s.Dir, "memory")}
	for i, want := range []warming{{}, {}, {}} {
		want.Load.Loaded = n
		if i == 1 {
			want.Load.Loaded, want.Load.Kept = 0, n
		}
		j := s.start(t, "--stop-signal", "USR1")
		j.WaitPhase(t, limit, "serving")
		if w := statusOf(t, j); w.Result != "warm" || w.Load != want.Load {
			t.Errorf("start %d: %+v, want %+v; log: %s", i, w, want, j.Stderr(t))
		}
		same(t, from.Addr(), s.socket, n)
		if i == 1 {
			j.Signal(t, syscall.SIGKILL) // the guard, and with it the kill domain
			j.Wait(t, limit)
		} else {
			j.Stop(t)
		}
		ended := time.Now()
		// It refuses what it has kept if it comes back within the same second.
		testkit.Wait(t, limit, func() (bool, string) { return time.Since(ended) > 2*time.Second, "too early" })
	}
}

// A run that lets clients in early stops its load at the first delete, which the load could undo.
func TestDeleteWhileReady(t *testing.T) {
	t.Parallel()
	const n = 10_000
	from, d := filled(t, n), inDirectory(t)
	d.dump(t, from.Addr())
	s := newService(t, d)
	j := s.start(t, "--warm-budget-rate", "500", "--warm-ready", "at_once")
	j.WaitPhase(t, limit, "serving")
	testkit.Wait(t, limit, func() (bool, string) { return items(t, s.socket) > 100, "nothing is loaded yet" })
	raw, err := net.Dial("unix", s.socket)
	must(t, err)
	defer raw.Close()
	_, err = raw.Write([]byte("delete mix:9999\r\n"))
	must(t, err)
	testkit.Wait(t, limit, func() (bool, string) {
		w := statusOf(t, j)
		return strings.Contains(w.Load.Stopped, "delete"), w.Result + " " + w.Load.Stopped
	})
	if got := items(t, s.socket); got >= n {
		t.Errorf("%d items after a delete in the middle", got)
	}
	j.Stop(t)
}
