package warm

import (
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// killedWhole kills a run, guard and all, and waits until nothing of it is left.
func killedWhole(t testing.TB, j *scene.Job) {
	t.Helper()
	tree := testkit.Snapshot(t, j.Pid())
	j.Signal(t, syscall.SIGKILL)
	j.Wait(t, limit)
	tree.WaitGone(t, limit)
}

// A run is killed while its cache is filled, and while it dumps: nothing outlives it, and the next run is warm from
// the dump before.
func TestRunKilled(t *testing.T) {
	const n = 3000
	points := map[string][]string{"warm:sent#2": nil, "drain:read": {"--warm-schedule", "1s"}, "warm:written": {"--warm-schedule", "1s"}}
	if testkit.Long() {
		points["warm:protected"], points["warm:part#2"] = nil, points["drain:read"]
	}
	for point, flags := range points {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			from, d := filled(t, n), inDirectory(t)
			d.dump(t, from.Addr())
			s := newService(t, d)
			s.d = d.broken(point + "=stop")
			j := s.start(t, flags...)
			stopped(t, j.Process)
			if phase := map[bool]string{true: "warming", false: "serving"}[flags == nil]; phase != "" {
				j.WaitPhase(t, limit, phase)
			}
			killedWhole(t, j)
			if got := d.snapshots(t); got != 1 {
				t.Errorf("%d dumps, want the one before", got)
			}
			s.d = d
			next := s.start(t, flags...)
			next.WaitPhase(t, limit, "serving")
			if w := statusOf(t, next); w.Result != "warm" || w.Load.Loaded != n {
				t.Errorf("%+v", w)
			}
			same(t, from.Addr(), s.socket, n)
			if flags != nil {
				published(t, next)
			}
			next.Stop(t)
		})
	}
}

// published waits for a dump of a run.
func published(t testing.TB, j *scene.Job) {
	t.Helper()
	testkit.Wait(t, limit, func() (bool, string) {
		st, err := j.Status()
		return err == nil && st.Snapshots != nil && st.Snapshots.Backups["published"] > 0, "no dump is published"
	})
}

// The process that loads or dumps for a run dies: the run serves on, says so, and holds what was there.
func TestWorkerKilled(t *testing.T) {
	const n = 3000
	for point, flags := range map[string][]string{"warm:sent#2": nil, "warm:written": {"--warm-schedule", "1s"}} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			from, d := filled(t, n), inDirectory(t)
			d.dump(t, from.Addr())
			s := newService(t, d)
			s.d = d.broken(point + "=kill")
			j := s.start(t, flags...)
			j.WaitPhase(t, limit, "serving")
			if flags == nil {
				if w := statusOf(t, j); w.Result != "cold" || w.Failure == "" {
					t.Errorf("%+v", w)
				}
			} else {
				testkit.Wait(t, limit, func() (bool, string) {
					st, err := j.Status()
					return err == nil && st.Snapshots != nil && st.Snapshots.Failure != "", "no dump has failed"
				})
				same(t, from.Addr(), s.socket, n)
			}
			if items(t, s.socket) < 0 {
				t.Error("memcached does not answer")
			}
			if got := d.snapshots(t); got != 1 {
				t.Errorf("%d dumps, want the one before", got)
			}
			j.Stop(t)
		})
	}
}
