// Package life has the end-to-end tests of an ordinary life: start, pass-through, stop, exit codes.
package life

import (
	"os"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == helperWord {
		os.Exit(help(os.Args[2:]))
	}
	testkit.MainWaiting(m, 8)
}

func TestStartsAndStops(t *testing.T) {
	t.Parallel()
	s := calm(t)
	a := s.Run(t, "a")
	st := a.Serving(t)
	if !st.Lock.Held || st.Lock.Token != "1" {
		t.Errorf("held %v, token %s", st.Lock.Held, st.Lock.Token)
	}
	begun(t, s)
	tree := testkit.Snapshot(t, a.Pid())
	if code := a.Stop(t); code != 0 {
		t.Errorf("exit code %d: expected the payload's own, 0", code)
	}
	nothingLeft(t, tree)
	if s.Count(t, "begin") != 1 || s.Count(t, "end") != 1 || s.Count(t, "signal-15") != 1 {
		t.Error("the payload was not started, told, and ended exactly once")
	}
}

// begun waits for the tracing payload's first word: before it, it has no handler yet.
func begun(t testing.TB, s *scene.Scene) {
	t.Helper()
	testkit.Wait(t, limit, func() (bool, string) { return s.Count(t, "begin") > 0, "the payload has not begun" })
}

// stopSignals are the orders to stop.
var stopSignals = []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT}
