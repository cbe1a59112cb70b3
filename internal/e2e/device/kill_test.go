package device

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// at starts a run that is killed, or stands still, at a named point of its device's way.
func (r *rig) at(t testing.TB, holder, point string) *scene.Job {
	t.Helper()
	broken := func(t testing.TB, argv ...string) []string {
		return append([]string{testkit.BreakpointBinary(t)}, argv[1:]...)
	}
	return r.start(t, holder, scene.Wrapped(broken), scene.Env("BREAKPOINT=device:"+point))
}

func upPoints() []string {
	return []string{"attach:begin", "attach:end", "repair:begin", "repair:end", "mount:begin", "mount:end"}
}

func downPoints() []string {
	return []string{"umount:before", "umount:after", "detach:before", "detach:after"}
}

// What carries a step out is killed at any point of it: the run takes away what there is, and a try to take it
// down is made again.
func TestStepKilled(t *testing.T) {
	t.Parallel()
	for _, point := range slices.Concat(upPoints(), downPoints()) {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "ext4")
			a := r.at(t, "a", point+"=kill")
			switch {
			case slices.Contains(upPoints(), point):
				a.Expect(t, limit, 72)
				r.down(t)
			case strings.HasSuffix(point, ":after"): // what was done is recognised, and not done again
				r.serving(t, a)
				r.ends(t, a)
			default: // each try is killed there
				r.serving(t, a)
				a.Signal(t, unix.SIGTERM)
				waitState(t, a, "kept")
				killed(t, a)
			}
			b := r.start(t, "b")
			r.serving(t, b)
			r.ends(t, b)
		})
	}
}

// killed ends a job that would try for ever.
func killed(t testing.TB, j *scene.Job) {
	t.Helper()
	all := testkit.Snapshot(t, j.Pid())
	scene.Kill(t, j.Agent(t), unix.SIGKILL)
	j.Wait(t, limit)
	all.WaitGone(t, limit)
}

// The agent is killed at any point, up or down: the guard ends what is under way, and the next start on this node
// recognises what is there, takes it away, and begins anew. What was synced is there.
func TestAgentKilled(t *testing.T) {
	t.Parallel()
	for _, point := range slices.Concat(upPoints(), []string{"served"}, downPoints()) {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "ext4")
			first := r.start(t, "first")
			r.serving(t, first)
			r.ends(t, first)
			a := r.at(t, "a", point+"=stop")
			if !slices.Contains(upPoints(), point) {
				r.serving(t, a)
			}
			if slices.Contains(downPoints(), point) {
				a.Signal(t, unix.SIGTERM)
			}
			if point != "served" {
				testkit.Wait(t, limit, func() (bool, string) { return testkit.Stopped(a.Pid()) != 0, "nothing stands still at " + point })
			}
			killed(t, a)
			left := testkit.Attached(t, r.dev)
			if want := point != "attach:begin" && point != "detach:after"; left != want {
				t.Errorf("attached: %v, expected %v: the test has lost its sense", left, want)
			}
			b := r.start(t, "b")
			r.serving(t, b)
			if got := strings.Fields(r.written(t)); len(got) < 2 {
				t.Errorf("%v: what was synced is missing", got)
			}
			r.ends(t, b)
		})
	}
}

// The guard is killed: the agent takes over, proves that all is dead, and cuts the device off.
func TestGuardKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t, "ext4")
	a := r.start(t, "a")
	r.serving(t, a)
	all := testkit.Snapshot(t, a.Pid())
	scene.Kill(t, a.Guard(t), unix.SIGKILL)
	a.Wait(t, limit)
	all.WaitGone(t, limit)
	r.down(t)
	b := r.start(t, "b")
	r.serving(t, b)
	r.ends(t, b)
}
