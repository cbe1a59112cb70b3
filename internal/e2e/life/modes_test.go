package life

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
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

// bounded is a wrapper that takes the right to make a PID namespace away.
func bounded(t testing.TB, argv ...string) []string {
	return testkit.AsPID1(t, append([]string{"setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--"}, argv...)...)
}

// noUserNamespaces is testkit.Unprivileged inside a user namespace that allows none below it.
func noUserNamespaces(t testing.TB, argv ...string) []string {
	testkit.RequireRoot(t)
	script := `echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps=-all --inh-caps=-all --bounding-set=-all -- "$@"`
	return append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", "unshare", "--user",
		"--map-current-user", "--keep-caps", "--", "sh", "-c", script, "sh"}, argv...)
}

// freezerOnly hides every cgroup v2 tree in a mount namespace.
func freezerOnly(t testing.TB, argv ...string) []string {
	testkit.RequireRoot(t)
	const unified = "/sys/fs/cgroup/unified"
	if _, err := os.Stat(unified); err != nil {
		testkit.Skip(t, "cgroup1", err.Error())
	}
	if _, err := os.Stat("/sys/fs/cgroup/freezer"); err != nil {
		testkit.Skip(t, "cgroup1", err.Error())
	}
	script := `mount -t tmpfs none ` + unified + ` && exec "$@"`
	return append([]string{"unshare", "--mount", "--", "sh", "-c", script, "sh"}, argv...)
}

func modes() []mode {
	cgroup, none := scene.Flags("--isolate", "cgroup"), scene.Flags("--isolate", "none")
	return []mode{
		{name: "pidns"},
		{name: "pidns/nested", options: []scene.Option{scene.Wrapped(testkit.AsPID1)}, first: true},
		{name: "pid1", options: []scene.Option{scene.Wrapped(bounded)}, first: true},
		{name: "pidns/unprivileged", options: []scene.Option{scene.Wrapped(testkit.Unprivileged)}},
		{name: "subreaper/unprivileged", options: []scene.Option{scene.Wrapped(noUserNamespaces)}, survives: true, unproven: true},
		{name: "cgroup2", options: []scene.Option{cgroup}, survives: true},
		{name: "cgroup1", options: []scene.Option{cgroup, scene.Wrapped(freezerOnly)}, survives: true},
		{name: "subreaper", options: []scene.Option{none}, survives: true, unproven: true},
	}
}

// nasty does all it can to outlive its supervisor: TERM ignored, children, and a daemon that left session
// and parent by a double fork.
var nasty = []string{"-ignore-term", "-tree", "2", "-daemon", "-tick", "20ms"}

const lives = 4

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

// dead fails unless all of a's payload is dead within the limit.
func (r *rivalry) dead(t *testing.T, within time.Duration) {
	t.Helper()
	testkit.Wait(t, within, func() (bool, string) {
		left := r.alive()
		return len(left) == 0, fmt.Sprintf("%v of the kill domain still run", left)
	})
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

func TestKilledGuard(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, r *rivalry) {
		r.waits(t)
		killed := scene.Now()
		scene.Kill(t, r.guard, syscall.SIGKILL)
		r.dead(t, 2*time.Second)
		r.a.Wait(t, limit)
		r.b.Serving(t)
		took := scene.Now() - killed
		switch {
		case r.unproven && took < scene.Hold-time.Second:
			t.Errorf("b served after %v: without a proof of death it must wait the hold of %v", took, scene.Hold)
		case !r.unproven && !r.first && took > scene.Hold-time.Second:
			t.Errorf("b served after %v: expected the agent to prove the death and to release", took)
		}
		r.taken(t)
	})
}

// What nobody can prove is written by nobody: neither dead nor drained.
func TestUnprovenDeathIsNotRecorded(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, r *rivalry) {
		agent := testkit.Snapshot(t, r.agent)
		scene.Kill(t, r.guard, syscall.SIGKILL)
		r.dead(t, 2*time.Second)
		agent.WaitGone(t, limit)
		want := "dead"
		if r.unproven || r.first {
			want = "running"
		}
		if got := recorded(t, r.Scene); got != want {
			t.Errorf("the record says %s: expected %s", got, want)
		}
	})
}

func TestKilledAgent(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, r *rivalry) {
		r.waits(t)
		scene.Kill(t, r.agent, syscall.SIGKILL)
		r.dead(t, time.Second)
		r.a.Expect(t, prompt, 70)
		r.taken(t)
	})
}

// With a PID namespace or as PID 1 nothing survives even the death of both. Elsewhere the payload itself
// dies with its parent, and the rest is what the mode says that it cannot catch.
func TestKilledBoth(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, r *rivalry) {
		payload := r.payload(t)
		if !r.survives {
			r.waits(t)
		}
		scene.Kill(t, r.guard, syscall.SIGKILL)
		if err := syscall.Kill(r.agent, syscall.SIGKILL); err != nil && !r.first {
			t.Fatal(err)
		}
		r.a.Wait(t, prompt)
		if !r.survives {
			r.dead(t, time.Second)
			r.taken(t)
			return
		}
		testkit.Wait(t, time.Second, func() (bool, string) {
			return !slices.Contains(r.alive(), payload), "the payload did not die with its parent"
		})
		for _, pid := range r.alive() {
			scene.Kill(t, pid, syscall.SIGKILL)
		}
		r.dead(t, time.Second)
		r.removeCgroup(t)
	})
}

// payload is its number as the status page says it: as PID 1 that is the container's.
func (r *rivalry) payload(t *testing.T) int {
	t.Helper()
	st, err := r.a.Status()
	if err != nil {
		t.Fatal(err)
	}
	return st.Payload.PID
}

// removeCgroup does what nobody is left to do.
func (r *rivalry) removeCgroup(t *testing.T) {
	t.Helper()
	if !strings.HasPrefix(r.name, "cgroup") {
		return
	}
	name := "interlock-" + strconv.Itoa(r.guard) + "-"
	var groups []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), name) {
			groups = append(groups, path)
		}
		return nil // groups of others come and go
	})
	if len(groups) == 0 {
		t.Errorf("no cgroup %s: expected one that nobody was left to remove", name)
	}
	for _, dir := range groups {
		testkit.Wait(t, prompt, func() (bool, string) { // the last of them may still be on its way out
			err := os.Remove(dir)
			return err == nil, fmt.Sprint(err)
		})
	}
}

// The agent is stopped until past its deadline: the guard ends the payload by then, and the agent, once
// continued, says why.
func TestStoppedAgent(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, r *rivalry) {
		r.waits(t)
		scene.Kill(t, r.agent, syscall.SIGSTOP)
		r.dead(t, scene.Hold)
		<-time.After(scene.Hold / 4)
		scene.Kill(t, r.agent, syscall.SIGCONT)
		r.a.Expect(t, 2*limit, 76)
		r.taken(t)
	})
}

// As PID 1 a signal has no default action: the orders arrive all the same, before and after the start, and
// the exit code is the container's.
func TestStopAsPID1(t *testing.T) {
	t.Parallel()
	for name, wrapper := range map[string]func(testing.TB, ...string) []string{"nested": testkit.AsPID1, "pid1": bounded} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, sig := range stopSignals {
				s := scene.New(t)
				l, payload := listen(t, s)
				a := s.Run(t, "a", scene.Wrapped(wrapper), payload)
				a.Serving(t)
				l.began(t)
				b := s.Run(t, "b", scene.Wrapped(wrapper))
				b.WaitPhase(t, limit, "locking")
				scene.Kill(t, b.Guard(t), sig)
				b.Expect(t, prompt, 128+int(sig))
				scene.Kill(t, a.Guard(t), sig)
				a.Expect(t, prompt, 23)
				if l.count(t, sig) != 1 || recorded(t, s) != "drained" {
					t.Errorf("%v: %s, record %s: expected it once, and drained", sig, l.text(t), recorded(t, s))
				}
			}
		})
	}
}
