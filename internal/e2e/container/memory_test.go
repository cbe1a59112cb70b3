package container

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// limit is enough for interlock and the payload, and far less than a hog takes.
const limit = 128 << 20

// ownCgroups is a container with a cgroup namespace.
func ownCgroups(spec tree) {
	linux := part(spec, "linux")
	linux["namespaces"] = append(linux["namespaces"].([]any), tree{"type": "cgroup"})
}

// The kernel kills the payload for the container's memory limit; guard and agent live on, and say what is
// known of it, which is nothing where no cgroup is in sight.
func TestOutOfMemory(t *testing.T) {
	for _, c := range []struct {
		name string
		plan plan
		told bool
	}{
		{"PID1", plan{}, true},
		{"OwnCgroupNamespace", plan{changes: []change{ownCgroups}}, true},
		{"InitInFront", plan{prefix: []string{"/payload", "front"}, changes: []change{root}}, true},
		{"Privileged", plan{changes: []change{privileged}}, true},
		{"NoCgroupInSight", plan{changes: []change{plainTmpfs}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := calm(t)
			c.plan.payload, c.plan.changes = []string{"-hog"}, append(c.plan.changes, memory(limit))
			j, _ := run(t, s, "a", c.plan)
			why := j.Expect(t, 60*time.Second, 137)
			if !strings.Contains(why, "signal 9") {
				t.Errorf("the reason %q does not name the signal", why)
			}
			told := strings.Contains(why, "out of memory: the kernel killed 1 process of") && strings.Contains(why, "(oom_kill in /sys/fs/cgroup/")
			if told != c.told || !c.told && strings.Contains(why, "memory") {
				t.Errorf("the reason is %q; what the kernel counted was to be told: %v", why, c.told)
			}
			if code, out, errs := scene.Interlock(t, "lock", "show", "--lock", s.Lock); code != 0 || !strings.Contains(out, "drained") {
				t.Errorf("lock show: %d: %s%s: expected a released lock with a drained record", code, out, errs)
			}
		})
	}
}

// kills is the job's own account of what the kernel killed.
func kills(t testing.TB, j *scene.Job) uint64 {
	t.Helper()
	st, err := j.Status()
	if err != nil {
		t.Fatal(err)
	}
	if st.Payload.OOMKills == nil {
		t.Fatalf("the status does not know what the kernel killed: %s", j.Stderr(t))
	}
	return *st.Payload.OOMKills
}

// Whoever kills the payload, the kernel's count says that it was not the kernel.
func TestKillPayloadWithMemoryLeft(t *testing.T) {
	t.Parallel()
	s := calm(t)
	j, _ := run(t, s, "a", plan{changes: []change{memory(limit)}})
	j.Serving(t)
	began(t, s)
	if n := kills(t, j); n != 0 {
		t.Errorf("%d processes killed for lack of memory: expected none", n)
	}
	for _, host := range testkit.Descendants(j.Guard(t)) {
		if line, err := os.ReadFile(filepath.Join("/proc", itoa(host), "cmdline")); err == nil && strings.HasPrefix(string(line), "/payload\x00") {
			scene.Kill(t, host, syscall.SIGKILL)
		}
	}
	if why := j.Expect(t, 20*time.Second, 137); !strings.Contains(why, "signal 9") || strings.Contains(why, "memory") {
		t.Errorf("the reason is %q: expected the signal alone", why)
	}
}

// The kernel kills a child of the payload: that is counted and warned of, and the run goes on to an end that
// nobody explains by it. What a killed process held is given back a moment later, and whoever asks for memory
// in that moment may be killed too, the agent as well: such a container says nothing of this, and another is
// tried.
func TestOutOfMemoryChild(t *testing.T) {
	t.Parallel()
	for range 5 {
		s := calm(t)
		j, b := run(t, s, "a", plan{payload: []string{"-hog-child"}, changes: []change{memory(limit)}})
		j.Serving(t)
		began(t, s)
		b.kill(t, b.id, "USR1")
		testkit.Wait(t, 20*time.Second, func() (bool, string) { return s.Count(t, "child-9") > 0 || ended(j), "the child lives" })
		var n uint64
		testkit.Wait(t, 20*time.Second, func() (bool, string) {
			if st, err := j.Status(); err == nil && st.Payload.OOMKills != nil {
				n = *st.Payload.OOMKills
			}
			return n > 0 || ended(j), "the status does not count the kill"
		})
		if ended(j) || n > 1 {
			t.Logf("the kernel killed more than the child: %s", j.ReasonText())
			continue
		}
		wantChildKilled(t, j)
		b.kill(t, b.id, "TERM")
		if why := j.Expect(t, 20*time.Second, 0); strings.Contains(why, "memory") {
			t.Errorf("the reason %q explains an ordinary end", why)
		}
		return
	}
	t.Fatal("in none of five containers did the kernel kill the child alone")
}

func ended(j *scene.Job) bool {
	select {
	case <-j.Exited():
		return true
	default:
		return false
	}
}

// wantChildKilled fails unless a run that goes on counts one process killed, and warns of it.
func wantChildKilled(t *testing.T, j *scene.Job) {
	t.Helper()
	if _, body, err := j.Get("/metrics"); err != nil || !strings.Contains(body, "\ninterlock_oom_kills_total 1\n") {
		t.Errorf("metrics, %v: expected interlock_oom_kills_total 1 in %s", err, body)
	}
	testkit.Wait(t, 20*time.Second, func() (bool, string) { // the count is published first
		log := j.Stderr(t)
		return strings.Contains(log, "level=WARN msg=\"out of memory: the kernel killed processes of this memory cgroup\" processes=1"), "the log does not warn: " + log
	})
	if st := j.Serving(t); st.Payload.PID == 0 {
		t.Error("the run did not go on")
	}
}

// prefer makes a process the kernel's first choice when memory runs out.
func prefer(t testing.TB, pid int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join("/proc", itoa(pid), "oom_score_adj"), []byte("1000"), 0); err != nil {
		t.Fatal(err)
	}
}

// The kernel kills the agent for the payload's hunger: the guard ends everything and says what is known.
func TestOutOfMemoryAgent(t *testing.T) {
	t.Parallel()
	s := calm(t)
	s.Timing = scene.Quick()
	j, b := run(t, s, "a", plan{payload: []string{"-hog-later"}, changes: []change{memory(limit)}})
	j.Serving(t)
	began(t, s)
	prefer(t, j.Agent(t))
	tree := testkit.Snapshot(t, j.Guard(t))
	b.kill(t, b.id, "USR1")
	if why := j.Expect(t, 30*time.Second, 70); !strings.Contains(why, "agent was ended by signal 9 (out of memory? the kernel killed ") {
		t.Errorf("the reason is %q: expected the agent, the signal, and what the kernel counted", why)
	}
	if left := tree.Alive(); len(left) > 0 {
		t.Errorf("%v outlived the container's first process", left)
	}
	successor(t, s)
}

// The kernel kills the container's first process, and with it all others at once, as for a group that is
// killed as a whole: the next one waits out the hold and takes over.
func TestOutOfMemoryAll(t *testing.T) {
	t.Parallel()
	s := calm(t)
	s.Timing = scene.Quick()
	j, b := run(t, s, "a", plan{payload: []string{"-hog-later", "-tree", "2"}, changes: []change{memory(limit)}})
	j.Serving(t)
	began(t, s)
	prefer(t, j.Guard(t))
	tree := testkit.Snapshot(t, j.Guard(t))
	b.kill(t, b.id, "USR1")
	if code := j.Wait(t, 30*time.Second); code != 137 {
		t.Errorf("the container ended with %d: expected 137", code)
	}
	if left := tree.Alive(); len(left) > 0 {
		t.Errorf("%v outlived the container's first process", left)
	}
	if why := j.ReasonText(); why != "" {
		t.Errorf("somebody lived to give the reason %q", why)
	}
	successor(t, s)
}
