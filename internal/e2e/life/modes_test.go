package life

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A mode is one way of killing, and how a test comes to it.
type mode struct {
	name     string // of the mode, as the status page says it
	options  []scene.Option
	survives bool // kill -9 of guard and agent at once leaves a daemon alive
	unproven bool // a killed guard leaves no proof of death
	first    bool // the guard is PID 1: its death is everybody's
}

// noUserNamespaces is testkit.Unprivileged inside a user namespace that allows none below it.
func noUserNamespaces(t testing.TB, argv ...string) []string {
	testkit.RequireRoot(t)
	script := `echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps=-all --inh-caps=-all --bounding-set=-all -- "$@"`
	return append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", "unshare", "--user",
		"--map-current-user", "--keep-caps", "--", "sh", "-c", script, "sh"}, argv...)
}

func modes() []mode {
	cgroup, none := scene.Flags("--isolate", "cgroup"), scene.Flags("--isolate", "none")
	return []mode{
		{name: "pidns"},
		{name: "pidns/nested", options: []scene.Option{scene.Wrapped(testkit.AsPID1)}, first: true},
		{name: "pid1", options: []scene.Option{scene.Wrapped(testkit.BoundedPID1)}, first: true},
		{name: "pidns/unprivileged", options: []scene.Option{scene.Wrapped(testkit.Unprivileged)}},
		{name: "subreaper/unprivileged", options: []scene.Option{scene.Wrapped(noUserNamespaces)}, survives: true, unproven: true},
		{name: "cgroup2", options: []scene.Option{cgroup}, survives: true},
		{name: "cgroup1", options: []scene.Option{cgroup, scene.Wrapped(testkit.FreezerOnly)}, survives: true},
		{name: "subreaper", options: []scene.Option{none}, survives: true, unproven: true},
	}
}

// nasty does all it can to outlive its supervisor: TERM ignored, children, and a daemon that left session
// and parent by a double fork.
var nasty = []string{"-ignore-term", "-tree", "2", "-daemon", "-tick", "20ms"}

const lives = 4

// soon is well within the hold: by then a successor may start.
const soon = 2 * time.Second

// A rivalry is a, which serves, with what runs below it, and b, which waits.
type rivalry struct {
	mode
	*scene.Scene
	a, b  *scene.Job
	guard int
	agent int
	below []testkit.Tree // the payload and all that it started
}

// eachMode runs a scenario in every mode: the nasty payload serves.
func eachMode(t *testing.T, scenario func(t *testing.T, r *rivalry)) {
	testkit.RequireRoot(t)
	for _, m := range modes() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := scene.New(t)
			r := &rivalry{mode: m, Scene: s, a: s.Run(t, "a", append([]scene.Option{s.Payload(t, nasty...)}, m.options...)...)}
			want, _, _ := strings.Cut(m.name, "/")
			if st := r.a.Serving(t); st.KillMode != want {
				t.Fatalf("mode %s: expected %s", st.KillMode, want)
			}
			testkit.Wait(t, limit, func() (bool, string) { return s.Count(t, "begin") >= lives, "the payload is not complete" })
			r.guard, r.agent = r.a.Guard(t), r.a.Agent(t)
			r.below = r.members(t)
			scenario(t, r)
		})
	}
}

// members are the processes of the kill domain, wherever their parents are now: a daemon is a child of the
// namespace's init or of the guard.
func (r *rivalry) members(t *testing.T) (all []testkit.Tree) {
	t.Helper()
	others := append(testkit.Descendants(r.agent), r.agent)
	for _, pid := range testkit.Descendants(r.guard) {
		if !slices.Contains(others, pid) {
			all = append(all, testkit.Snapshot(t, pid))
		}
	}
	if len(all) < lives {
		t.Fatalf("%d processes in the kill domain: expected %d or more", len(all), lives)
	}
	return all
}

// alive are those of them that still run.
func (r *rivalry) alive() (pids []int) {
	for _, tree := range r.below {
		pids = append(pids, tree.Alive()...)
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

// waits starts b, which queues behind a.
func (r *rivalry) waits(t *testing.T) {
	t.Helper()
	r.b = r.Run(t, "b")
	r.b.WaitPhase(t, limit, "locking")
}

// dead fails unless all of a's payload dies, none of it having run for longer than that after the moment. A
// process that is killed while it writes to a busy disk may be seen for longer, but does nothing.
func (r *rivalry) dead(t *testing.T, since, within time.Duration) {
	t.Helper()
	testkit.Wait(t, limit, func() (bool, string) {
		left := r.alive()
		return len(left) == 0, fmt.Sprintf("%v of the kill domain still run", left)
	})
	if lived := r.Last(t, r.Lines(t)[0].Token) - since; lived > within+testkit.Busy(t) {
		t.Errorf("the payload ran on for %v: expected at most %v", lived, within)
	}
}

// taken waits for b and judges the trace.
func (r *rivalry) taken(t *testing.T) {
	t.Helper()
	r.b.Serving(t)
	testkit.Wait(t, limit, func() (bool, string) { return r.Count(t, "begin") > lives, "b's payload has not begun" })
	if code := r.b.Stop(t); code != 0 {
		t.Errorf("b ended with %d: %s", code, r.b.ReasonText())
	}
	if order := r.Judge(t); len(order) != 2 {
		t.Errorf("tenures with tokens %v: expected two", order)
	}
}
