package citizen

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// checkup is what tests read of `check-config --json`.
type checkup struct {
	Values []struct {
		Key   string
		Value any
	}
	Warnings []string
	Findings []warning
	Errors   []struct{ Where, What string }
	Needs    struct {
		Stop  float64 `json:"stop_seconds"`
		Start float64 `json:"start_seconds"`
	}
}

// checked asks the built binary about a configuration, in this environment and in no other.
func checked(t testing.TB, env []string, args ...string) checkup {
	t.Helper()
	cmd := exec.Command(testkit.Binary(t), append([]string{"check-config", "--json"}, args...)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	p := testkit.StartCmd(t, cmd)
	code := p.Wait(t, limit)
	var doc checkup
	if code == 64 { // a command line that cannot be understood at all
		doc.Errors = append(doc.Errors, struct{ Where, What string }{"the command line", p.Stderr(t)})
		return doc
	}
	if err := json.Unmarshal([]byte(p.Stdout(t)), &doc); err != nil || code != 0 && code != 78 {
		t.Fatalf("check-config %q: exit code %d, %v: %s%s", args, code, err, p.Stdout(t), p.Stderr(t))
	}
	return doc
}

func (c checkup) value(key string) any {
	for _, v := range c.Values {
		if v.Key == key {
			return v.Value
		}
	}
	return nil
}

// What the orchestrator gives is known from the flag, a variable, or Mesos; it is warned of where it does
// not fit, by every face that a run has, and nowhere else.
func TestBudgetsAreWarnedOf(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	needs := checked(t, nil, append([]string{"--lock", s.Lock, "--data", s.Data}, s.Timing...)...).Needs
	about := func(seconds float64, more time.Duration) string {
		return (time.Duration(seconds*1e3)*time.Millisecond + more).String()
	}
	cases := []struct {
		name  string
		env   []string
		flags []string
		want  []string
	}{
		{"unknown", nil, nil, []string{}},
		{"short", nil, []string{"--orchestrator-grace", "5s", "--start-budget", "5s"}, []string{"stop budget", "start budget"}},
		{"just short", nil, []string{"--orchestrator-grace", about(needs.Stop, -time.Millisecond), "--start-budget", about(needs.Start, -time.Millisecond)}, []string{"stop budget", "start budget"}},
		{"fitting", nil, []string{"--orchestrator-grace", about(needs.Stop, time.Millisecond), "--start-budget", about(needs.Start, time.Millisecond)}, []string{}},
		{"variable", []string{"INTERLOCK_ORCHESTRATOR_GRACE=5s"}, nil, []string{"stop budget"}},
		{"Mesos", []string{"MESOS_TASK_ID=t", "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=5secs"}, nil, []string{"stop budget"}},
		{"Mesos, long", []string{"MESOS_TASK_ID=t", "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=10mins"}, nil, []string{}},
		{"flag over Mesos", []string{"MESOS_TASK_ID=t", "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=5secs"}, []string{"--orchestrator-grace", "10m"}, []string{}},
		{"no Mesos task", []string{"MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=5secs"}, nil, []string{}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := scene.New(t)
			j := s.Run(t, "a", scene.Env(c.env...), scene.Flags(c.flags...))
			if got := topics(warned(t, j)); !slices.Equal(got, c.want) {
				t.Errorf("/status warns of %q, expected %q", got, c.want)
			}
			j.Stop(t)
			flags := append(append([]string{"--lock", s.Lock, "--data", s.Data}, s.Timing...), c.flags...)
			if got := topics(checked(t, c.env, flags...).Findings); !slices.Equal(got, c.want) {
				t.Errorf("check-config warns of %q, expected %q", got, c.want)
			}
			found := doctored(t, nil, c.env, flags...)
			for _, topic := range []string{"stop budget", "start budget"} {
				if got := slices.Contains(topics(found), topic); got != slices.Contains(c.want, topic) {
					t.Errorf("doctor warns of the %s: %v", topic, got)
				}
			}
		})
	}
}

// What Mesos says in a way that nobody knows is said, and never guessed.
func TestUnknownGrace(t *testing.T) {
	t.Parallel()
	doc := checked(t, []string{"MESOS_TASK_ID=t", "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=5foo"}, "--lock", "etcd://h/n")
	if len(doc.Warnings) != 1 || doc.value("orchestrator.grace") != "0s" || len(doc.Findings) != 0 {
		t.Errorf("warnings %q, findings %+v, grace %v", doc.Warnings, doc.Findings, doc.value("orchestrator.grace"))
	}
}

// The sums are what really happens: a stop in which everything takes its whole time, and a start after a
// crash, stay below what was said, and not far below.
func TestNeedsHold(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	hook := `["/bin/sleep","60"]`
	s := scene.New(t)
	s.Timing = append(s.Timing, "--hold-max", scene.Hold.String(), "--stop-grace", "3s", "--hooks-pre-stop-exec", hook, "--hooks-pre-stop-timeout", "3s",
		"--hooks-post-stop-exec", hook, "--hooks-post-stop-timeout", "3s", "--budgets-drain", "1s", "--budgets-mount", "1s", "--budgets-claim", "1s",
		"--hooks-pre-start-exec", `["/bin/sleep","3"]`, "--hooks-pre-start-timeout", "5s", "--isolate", "none")
	needs := checked(t, nil, append([]string{"--lock", s.Lock, "--data", s.Data}, s.Timing...)...).Needs
	a := s.Run(t, "a", s.Payload(t, "-ignore-term", "-tick", "20ms"))
	a.Serving(t)
	testkit.Wait(t, limit, func() (bool, string) { return s.Count(t, "begin") > 0, "the payload has not begun" })
	for _, pid := range a.WholeTree(t) {
		tell(t, pid, 9)
	}
	a.Wait(t, limit)
	begun := scene.Now()
	b := s.Run(t, "b", s.Payload(t, "-ignore-term", "-tick", "20ms"))
	b.Serving(t)
	within(t, "start", scene.Now()-begun, needs.Start)
	testkit.Wait(t, limit, func() (bool, string) { return s.Count(t, "begin") > 1, "b's payload has not begun" })
	asked := scene.Now()
	b.Signal(t, 15)
	b.Wait(t, 2*limit)
	within(t, "stop", scene.Now()-asked, needs.Stop)
	s.Judge(t)
}

func within(t *testing.T, what string, took time.Duration, need float64) {
	t.Helper()
	most := time.Duration(need * float64(time.Second))
	if took > most+testkit.Busy(t) || took < most/2 {
		t.Errorf("a %s took %v: expected at most the %v that was said, and at least half of it", what, took, most)
	}
}
