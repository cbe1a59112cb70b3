package supervise

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/process"
)

// freeze keeps a process from dying, as uninterruptible sleep does: SIGKILL waits for the thaw. The
// group is made below parent, in a tree of cgroup v1.
func freeze(t *testing.T, pid int, parent string) (thaw func()) {
	t.Helper()
	dir := filepath.Join(parent, "supervise-test-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skip("no cgroup v1 freezer to hold a process still: ", err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0); err != nil {
			t.Error(err)
		}
	}
	done := false
	thaw = func() {
		if !done {
			done = true
			write("freezer.state", "THAWED")
			eventually(t, "test's freezer can be removed", func() bool { err := os.Remove(dir); return err == nil || os.IsNotExist(err) })
		}
	}
	t.Cleanup(thaw)
	write("cgroup.procs", strconv.Itoa(pid))
	write("freezer.state", "FROZEN")
	eventually(t, "frozen", func() bool {
		s, err := readWord(filepath.Join(dir, "freezer.state"))
		return err == nil && s == "FROZEN"
	})
	return thaw
}

const freezer = "/sys/fs/cgroup/freezer"

// orphaned starts a payload that leaves a daemon and exits, and returns the daemon: nobody's exit
// status stands for it, only the proof of the mode does.
func orphaned(t *testing.T, isolate string, o options) (*guarded, int) {
	t.Helper()
	g := startGuard(t, o)
	g.begin(isolate, 0, time.Minute, "sh", "-c", "setsid sleep 1000 & exit 4")
	if e := g.event(Exited); e.Status.ExitStatus() != 4 {
		t.Fatalf("%+v", e)
	}
	var daemon int
	eventually(t, "the daemon is what it was to become", func() bool { // on the way it has no environment for moments
		for _, pid := range g.survivors() {
			b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
			if err == nil && string(b) == "sleep\x001000\x00" {
				daemon = pid
			}
		}
		return daemon != 0
	})
	return g, daemon
}

// A task that does not die keeps Empty from being said, is named, and nothing starts beside it.
func TestStuckTask(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		g, daemon := orphaned(t, isolate, options{})
		thaw := freeze(t, daemon, freezer)
		g.order(command{Op: "kill", Tenure: 1})
		if e := g.event(Stuck); !slices.Contains(e.PIDs, daemon) {
			t.Errorf("stuck names %v, expected %d", e.PIDs, daemon)
		}
		g.order(command{Op: "start", Spec: Spec{ID: 2, Tenure: 1, Argv: []string{"true"}}})
		if e := g.event(StartFailed); e.ID != 2 || e.Stage != StageRefused {
			t.Errorf("start beside a stuck task: %+v", e)
		}
		g.event(Stuck) // each second
		for _, r := range g.backlog {
			if r.Event != nil && r.Event.Kind == Empty {
				t.Error("empty was said while a task lived")
			}
		}
		thaw()
		g.event(Empty)
	})
}

// A process whose first thread is dead is no zombie as long as another lives: it is named while it is stuck,
// killed, and waited for.
func TestFirstThreadIsDead(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		g := startGuard(t, options{})
		payload := g.begin(isolate, 0, time.Minute, self(t), "payload-under-test", "headless").PID
		eventually(t, "the first thread is dead", func() bool {
			s, err := process.Read(payload)
			return err == nil && s.State == 'Z' && s.Threads > 1
		})
		thaw := freeze(t, payload, freezer)
		g.order(command{Op: "kill", Tenure: 1})
		if e := g.event(Stuck); !slices.Contains(e.PIDs, payload) {
			t.Errorf("stuck names %v, expected %d", e.PIDs, payload)
		}
		thaw()
		g.event(Empty)
	})
}

// The guard stays until the last one is dead, also when it has nobody to tell.
func TestGuardWaitsForTheProof(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		g, daemon := orphaned(t, isolate, options{})
		thaw := freeze(t, daemon, freezer)
		send(t, g.agent, syscall.SIGKILL)
		select {
		case <-g.exited:
			t.Error("the guard exited while a task lived")
		case <-time.After(700 * time.Millisecond):
		}
		thaw()
		g.wantCode(70)
	})
}

// A take-over proves nothing while a task lives, says so when its time is up, and can be repeated.
func TestTakeOverWaitsForTheProof(t *testing.T) {
	env := []string{"INTERLOCK_TOKEN=7"}
	check := func(t *testing.T, g *guarded, thaw func()) {
		stop(t, g.pid)
		if r := g.order(command{Op: "takeover", Timeout: 500 * time.Millisecond, Env: env}); r.Err == "" || r.Proof.Proven {
			t.Errorf("take-over over a living task: %+v %q", r.Proof, r.Err)
		}
		thaw()
		if r := g.order(command{Op: "takeover", Timeout: 10 * time.Second, Env: env}); r.Err != "" || !r.Proof.Proven {
			t.Errorf("take-over: %+v %q", r.Proof, r.Err)
		}
	}
	for _, isolate := range []string{IsolatePIDNS, IsolateCgroup} {
		t.Run(isolate, func(t *testing.T) {
			needRoot(t)
			g, daemon := orphaned(t, isolate, options{})
			check(t, g, freeze(t, daemon, freezer))
		})
	}
	t.Run("cgroup1", func(t *testing.T) {
		needRoot(t)
		g, daemon := orphaned(t, IsolateCgroup, options{wrap: withoutUnified()})
		check(t, g, freeze(t, daemon, g.cgroup))
	})
}
