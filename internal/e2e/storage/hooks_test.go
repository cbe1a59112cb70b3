package storage

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// hook leaves its name, the moment, and its environment; then more.
func hook(t testing.TB, s *scene.Scene, name, more string) scene.Option {
	t.Helper()
	text := fmt.Sprintf("echo %[1]s >> %[2]s/order; env | sort > %[2]s/%[1]s.env; cat %[3]s 2>/dev/null | wc -l > %[2]s/%[1]s.lines; %[4]s", name, s.Dir, s.Trace, more)
	return shell(t, "hooks-"+strings.ReplaceAll(name, "_", "-")+"-exec", text)
}

// ours are the INTERLOCK_ lines of a file with an environment.
func ours(t testing.TB, path string) []string {
	t.Helper()
	var found []string
	for sc := bufio.NewScanner(strings.NewReader(read(t, path))); sc.Scan(); {
		if strings.HasPrefix(sc.Text(), "INTERLOCK_") {
			found = append(found, sc.Text())
		}
	}
	sort.Strings(found)
	return found
}

func order(t testing.TB, s *scene.Scene) string {
	t.Helper()
	return strings.Join(strings.Fields(read(t, filepath.Join(s.Dir, "order"))), " ")
}

func TestHooksInOrderAndTheirEnvironment(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	// post_stop asks from inside who holds the lock, and what of the payload is there.
	look := fmt.Sprintf("%s lock show --json --lock %s > %s/show", testkit.Binary(t), s.Lock, s.Dir)
	payloadEnv := filepath.Join(s.Dir, "payload.env")
	a := s.Run(t, "a", s.Payload(t, "-environ", payloadEnv),
		shell(t, "restore-exec", "echo restore >> "+s.Dir+"/order; env | sort > "+s.Dir+"/restore.env"),
		hook(t, s, "pre_start", ""), hook(t, s, "post_start", ""), hook(t, s, "pre_stop", ""), hook(t, s, "post_stop", look),
		scene.Env("INTERLOCK_FENCE_NODE=n1", "INTERLOCK_PAYLOAD_PID=1", "INTERLOCK_TOKEN=7", "INTERLOCK_LOCK_WAIT=forever", "INTERLOCK_FOREIGN_THING=x"))
	st := alive(t, s, a)
	waitFile(t, filepath.Join(s.Dir, "post_start.lines")) // made when the environment is whole
	if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", st.Payload.PID)); err != nil || !strings.Contains(string(line), s.Trace) {
		t.Errorf("pid %d in the status is not the payload's, seen from outside: %q, %v", st.Payload.PID, line, err)
	}
	if code := a.Stop(t); code != 0 {
		t.Fatalf("exit code %d: %s", code, a.ReasonText())
	}
	if got, want := order(t, s), "restore pre_start post_start pre_stop post_stop"; got != want {
		t.Errorf("order %s, expected %s", got, want)
	}
	before := []string{"INTERLOCK_HOLDER=a", "INTERLOCK_LOCK=" + s.Lock, "INTERLOCK_TOKEN=1"}
	after := []string{before[0], before[1], fmt.Sprintf("INTERLOCK_PAYLOAD_PID=%d", st.Payload.PID), before[2]}
	for name, want := range map[string][]string{"restore": before, "pre_start": before, "post_start": after, "pre_stop": after, "post_stop": after} {
		if got := ours(t, filepath.Join(s.Dir, name+".env")); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s has %q, expected %q", name, got, want)
		}
	}
	if got := ours(t, payloadEnv); fmt.Sprint(got) != fmt.Sprint(after) {
		t.Errorf("the payload has %q, expected %q", got, after)
	}
	var v lockView
	if err := json.Unmarshal([]byte(read(t, filepath.Join(s.Dir, "show"))), &v); err != nil || !v.Held || len(v.Queue) != 1 || v.Queue[0].Holder != "a" {
		t.Errorf("in post_stop the lock is %+v (%v): expected it held by a", v, err)
	}
	if n := len(s.Lines(t)); strings.TrimSpace(read(t, filepath.Join(s.Dir, "post_stop.lines"))) != fmt.Sprint(n) {
		t.Error("the payload still lived in post_stop")
	}
}

func TestFailingPreStartEndsTheRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		how  func(t testing.TB) []scene.Option
	}{
		{"exit status", func(t testing.TB) []scene.Option { return []scene.Option{shell(t, "hooks-pre-start-exec", "exit 4")} }},
		{"signal", func(t testing.TB) []scene.Option {
			return []scene.Option{shell(t, "hooks-pre-start-exec", "kill -KILL $$")}
		}},
		{"no such command", func(testing.TB) []scene.Option {
			return []scene.Option{scene.Flags("--hooks-pre-start-exec", `["/no/such/hook"]`)}
		}},
		{"timeout", func(t testing.TB) []scene.Option {
			return []scene.Option{shell(t, "hooks-pre-start-exec", "trap '' TERM; sleep 1000"), scene.Flags("--hooks-pre-start-timeout", "300ms")}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := scene.New(t)
			post := hook(t, s, "post_stop", "")
			a := s.Run(t, "a", append(c.how(t), post)...)
			a.Expect(t, limit, 73)
			nothingBegan(t, s)
			wantRecord(t, s, "drained")
		})
	}
}

// Hooks that fail or hang change nothing but the time: the payload serves and is stopped all the same.
func TestHooksThatHang(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	hang := "trap '' TERM; exec sleep 1000"
	a := s.Run(t, "a", hook(t, s, "post_start", hang), hook(t, s, "pre_stop", hang), hook(t, s, "post_stop", hang),
		scene.Flags("--hooks-post-start-timeout", "3s", "--hooks-pre-stop-timeout", "3s", "--hooks-post-stop-timeout", "3s"))
	alive(t, s, a)
	waitFile(t, filepath.Join(s.Dir, "post_start.env"))
	hung := func() int {
		n := 0
		for _, p := range testkit.Descendants(a.Pid()) {
			if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p)); err == nil && string(line) == "sleep\x001000\x00" {
				n++
			}
		}
		return n
	}
	testkit.Wait(t, limit, func() (bool, string) { return hung() == 0, "the hung post_start hook was not killed" })
	if st, err := a.Status(); err != nil || st.Phase != "serving" {
		t.Errorf("%+v, %v", st, err)
	}
	at := scene.Now()
	if code := a.Stop(t); code != 0 {
		t.Errorf("exit code %d: %s", code, a.ReasonText())
	}
	if took := scene.Now() - at; took > limit {
		t.Errorf("the stop took %v", took)
	}
	if got, want := order(t, s), "post_start pre_stop post_stop"; got != want {
		t.Errorf("order %s, expected %s", got, want)
	}
	if s.Count(t, "signal-15") != 1 {
		t.Error("the payload was not told to stop after the hung pre_stop")
	}
	wantRecord(t, s, "drained")
}

// A payload that ends by itself is followed by post_stop, not by pre_stop.
func TestHooksOfAPayloadThatEnds(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	a := s.Run(t, "a", s.Payload(t, "-after", "300ms", "-code", "5"), hook(t, s, "pre_stop", ""), hook(t, s, "post_stop", ""))
	a.Expect(t, limit, 5)
	if got := order(t, s); got != "post_stop" {
		t.Errorf("hooks %s, expected post_stop alone", got)
	}
}
