package supervise

import (
	"os"
	"testing"
	"time"
)

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// modes that this machine and user can have.
func eachMode(t *testing.T, f func(t *testing.T, isolate string)) {
	for _, isolate := range []string{IsolatePIDNS, IsolateCgroup, IsolateNone} {
		t.Run(isolate, func(t *testing.T) { needRoot(t); f(t, isolate) })
	}
}

// The ordinary run: exit status passes, Finish proves, the agent's code becomes the guard's.
func TestOrderlyRun(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		g := startGuard(t, options{})
		started := g.begin(isolate, 0, time.Minute, self(t), "payload-under-test", "exit", "41")
		if e := g.event(Exited); e.ID != 1 || !e.Status.Exited() || e.Status.ExitStatus() != 41 || e.PID != started.PID || e.PID == 0 {
			t.Fatalf("exit of the payload: %+v", e)
		}
		g.order(command{Op: "finish", Tenure: 1})
		if e := g.event(Dead); e.Tenure != 1 {
			t.Fatalf("dead: %+v", e)
		}
		g.order(command{Op: "exit", Code: 41})
		g.wantCode(41)
		g.wantNobody()
	})
}
