// Package life has the end-to-end tests of an ordinary life: start, pass-through, stop, exit codes.
package life

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestStartsAndStops(t *testing.T) {
	s := scene.New(t)
	a := s.Run(t, "a")
	st := a.Serving(t)
	if !st.Lock.Held || st.Lock.Token != "1" {
		t.Errorf("held %v, token %s", st.Lock.Held, st.Lock.Token)
	}
	if code := a.Stop(t); code != 0 {
		t.Errorf("exit code %d: expected the payload's own, 0", code)
	}
	if s.Count(t, "begin") != 1 || s.Count(t, "end") != 1 || s.Count(t, "signal-15") != 1 {
		t.Error("the payload was not started, told, and ended exactly once")
	}
}

func TestExitCodesPassThrough(t *testing.T) {
	s := scene.New(t)
	if why := s.Run(t, "code", scene.Command("sh", "-c", "exit 7")).Expect(t, 20*time.Second, 7); !strings.Contains(why, "7") {
		t.Errorf("reason %q", why)
	}
	s.Run(t, "signal", scene.Command("sh", "-c", "kill -KILL $$")).Expect(t, 20*time.Second, 128+int(syscall.SIGKILL))
	s.Run(t, "missing", scene.Command("/no/such/command")).Expect(t, 20*time.Second, 127)
	s.Run(t, "mode", scene.Command(s.Data)).Expect(t, 20*time.Second, 126)
}
