package locks

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// Guard and agent die at once: a PID namespace dies with them, and the successor on the same boot sees that
// it is empty; without one nothing proves that, and the hold is waited.
func TestFileSameBoot(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	for _, c := range []struct {
		isolate  string
		from, to time.Duration
	}{
		{"pidns", 0, scene.Hold / 2},
		{"none", scene.Hold - beatSlack, scene.Hold + start},
	} {
		t.Run(c.isolate, func(t *testing.T) {
			t.Parallel()
			r := fileBackend().fresh(t, "")
			a := r.Run(t, "a", scene.Flags("--isolate", c.isolate), r.Payload(t, "-ignore-term"))
			st := a.Serving(t)
			if !strings.HasPrefix(st.KillMode, c.isolate) && c.isolate != "none" {
				t.Fatalf("kill mode is %s", st.KillMode)
			}
			token, _ := r.serves(t, a, 5*time.Second)
			b := r.Run(t, "b", scene.Flags("--isolate", c.isolate))
			b.WaitPhase(t, 5*time.Second, "locking")
			dead := killBoth(t, a)
			_, at := r.serves(t, b, 15*time.Second)
			atLeast(t, "take-over", at-dead, c.from)
			atMost(t, "take-over", at-dead, c.to)
			atLeast(t, "from the old payload's death", at-r.last(t, token), 0)
			stopped(t, b)
			r.Judge(t)
		})
	}
}

// A lock file that was replaced or removed protects nothing any more: LOST.
func TestFileReplaced(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(path string) error{
		"removed":  os.Remove,
		"replaced": func(path string) error { return replace(path) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := fileBackend().fresh(t, "")
			r.Timing = timing("--grace", "0s", "--kill-budget", "2s") // time for the guard to have its word on a busy machine
			a := r.Run(t, "a", r.Payload(t, "-ignore-term"))
			token, _ := r.serves(t, a, 5*time.Second)
			at := scene.Now()
			must(t, spoil(strings.TrimPrefix(r.Lock, "file://")))
			a.Expect(t, 5*time.Second, 76)
			atMost(t, "from the loss to the payload's death", r.last(t, token)-at, 1500*time.Millisecond)
		})
	}
}

// replace puts a copy in the file's place, as an editor does.
func replace(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// A lock file that is no lock file, or damaged, is refused and left as it is.
func TestFileDamaged(t *testing.T) {
	t.Parallel()
	r := fileBackend().fresh(t, "")
	a := r.Run(t, "a")
	r.serves(t, a, 5*time.Second)
	stopped(t, a)
	path := strings.TrimPrefix(r.Lock, "file://")
	whole := readFile(t, path)
	for name, data := range map[string]string{
		"foreign": "somebody else's notes\n",
		"zeros":   strings.Repeat("\x00", len(whole)),
		"cut":     whole[:len(whole)/3],
		"bits":    flipped(whole),
	} {
		must(t, os.WriteFile(path, []byte(data), 0o600))
		why := r.Run(t, name).Expect(t, 10*time.Second, 78)
		says(t, why, path)
		if readFile(t, path) != data {
			t.Errorf("%s: the file was changed", name)
		}
	}
	if len(r.Judge(t)) != 1 {
		t.Error("a payload was started on a damaged lock file")
	}
}

func flipped(s string) string {
	b := []byte(s)
	for i := 100; i < len(b); i += 64 {
		b[i] ^= 1
	}
	return string(b)
}

// The agent's death frees nothing: the guard holds the same open file, and until it has killed nobody else is
// granted the lock.
func TestFileOutlivesTheAgent(t *testing.T) {
	t.Parallel()
	for _, isolate := range []string{"auto", "none"} {
		t.Run(isolate, func(t *testing.T) {
			t.Parallel()
			r := fileBackend().fresh(t, "")
			a := r.Run(t, "a", scene.Flags("--isolate", isolate), r.Payload(t, "-ignore-term"))
			r.serves(t, a, 20*time.Second)
			guard, agent := a.Guard(t), testkit.Snapshot(t, a.Agent(t))
			scene.Kill(t, guard, syscall.SIGSTOP)
			scene.Kill(t, agent.Pids()[0], syscall.SIGKILL)
			agent.WaitGone(t, 20*time.Second)
			r.Run(t, "b", scene.Flags("--lock-wait", "0")).Expect(t, 20*time.Second, 75)
			scene.Kill(t, guard, syscall.SIGCONT)
			a.Expect(t, 20*time.Second, 70)
			if begun := r.Count(t, "begin"); begun != 1 {
				t.Errorf("%d payloads began: expected a's alone", begun)
			}
		})
	}
}
