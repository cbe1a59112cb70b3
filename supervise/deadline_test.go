package supervise

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The whole course of a lost lease on a payload that could go on: extensions hold it off, TERM at
// T_kill-Grace, no extension from then on, KILL at T_kill, and not before.
func TestCourseOfALostLease(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		const grace, lease = 1500 * time.Millisecond, 4 * time.Second
		g := startGuard(t, options{})
		g.prepare(isolate, grace)
		g.lease(lease)
		path := filepath.Join(filepath.Dir(g.stderr), "out")
		g.order(command{Op: "start", Spec: payloadSpec(self(t), "payload-under-test", "usr1"), Path: path})
		g.event(Started)
		said := func(want string) func() bool {
			return func() bool { b, err := os.ReadFile(path); return err == nil && string(b) == want }
		}
		eventually(t, "the payload can hear", said("ready\n"))
		begin := time.Now()
		g.lease(lease)
		if e := g.event(Deadline); e.Stage != StageTerm || time.Since(begin) < lease-grace {
			t.Errorf("%+v after %v", e, time.Since(begin))
		}
		g.lease(time.Minute)
		if e := g.event(Refused); !strings.Contains(e.Text, "lost") {
			t.Errorf("%+v", e)
		}
		eventually(t, "TERM came", said("ready\nterminated\n"))
		g.order(command{Op: "start", Spec: Spec{ID: 2, Tenure: 1, Argv: []string{"true"}}}) // a drain may still run
		if e := g.event(Exited); e.ID != 2 {
			t.Logf("the machine is too slow to tell: %+v", e)
			return
		}
		if e := g.event(Deadline); e.Stage != StageKill || time.Since(begin) < lease {
			t.Errorf("%+v after %v", e, time.Since(begin))
		}
		if e := g.event(Exited); e.ID != 1 || e.Status.Signal() != syscall.SIGKILL {
			t.Errorf("%+v", e)
		}
		g.event(Empty)
		g.order(command{Op: "start", Spec: Spec{ID: 3, Tenure: 1, Argv: []string{"true"}}})
		if e := g.event(StartFailed); e.ID != 3 || e.Stage != StageRefused {
			t.Errorf("%+v", e)
		}
	})
}

// Processes that fork a successor and exit, over and over, are caught all the same.
func TestComets(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		script := filepath.Join(t.TempDir(), "comet")
		if err := os.WriteFile(script, []byte("trap '' TERM\nsetsid sh "+filepath.Join(filepath.Dir(script), "comet")+" &\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		g := startGuard(t, options{})
		g.begin(isolate, 0, time.Minute, "sh", "-c", "for i in 1 2 3; do sh "+script+" & done; exec sleep 1000")
		eventually(t, "comets fly", func() bool { return g.payloadProcesses() >= 3 })
		g.order(command{Op: "kill", Tenure: 1})
		g.event(Empty)
		if n := g.payloadProcesses(); n != 0 {
			t.Errorf("%d processes after empty", n)
		}
		os.Remove(script) // should one have escaped, it ends here
	})
}

// A /proc of another PID namespace shows other processes' numbers: nothing is prepared by them.
func TestForeignProc(t *testing.T) {
	needRoot(t)
	g := startGuard(t, options{wrap: []string{"unshare", "--pid", "--fork", "--kill-child=KILL"}})
	g.order(command{Op: "prepare", Settings: Settings{Isolate: IsolateAuto}})
	if e := g.event(Refused); !strings.Contains(e.Text, "/proc shows another PID namespace") {
		t.Errorf("%q", e.Text)
	}
	g.order(command{Op: "exit", Code: 78})
	g.wantCode(78)
}
