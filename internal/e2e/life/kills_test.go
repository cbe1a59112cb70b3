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

func TestKilledGuard(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, r *rivalry) {
		r.waits(t)
		killed := scene.Now()
		scene.Kill(t, r.guard, syscall.SIGKILL)
		r.dead(t, killed, soon)
		r.a.Wait(t, limit)
		r.b.Serving(t)
		took := scene.Now() - killed
		switch {
		case r.unproven && took < scene.Hold-time.Second:
			t.Errorf("b served after %v: without a proof of death it must wait the hold of %v", took, scene.Hold)
		case !r.unproven && !r.first && took > scene.Hold-time.Second+testkit.Busy(t):
			t.Errorf("b served after %v: expected the agent to prove the death and to release", took)
		}
		r.taken(t)
	})
}

// What nobody can prove is written by nobody: neither dead nor drained.
func TestUnprovenDeathIsNotRecorded(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, r *rivalry) {
		agent, killed := testkit.Snapshot(t, r.agent), scene.Now()
		scene.Kill(t, r.guard, syscall.SIGKILL)
		r.dead(t, killed, soon)
		agent.WaitGone(t, limit)
		switch got := r.RecordedPhase(t); {
		case r.first && (got == "dead" || got == "running"): // the kernel may kill the agent before its word
		case r.unproven && got != "running", !r.unproven && got != "dead":
			t.Errorf("the record says %s, proof of death %v", got, !r.unproven)
		}
	})
}

func TestKilledAgent(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, r *rivalry) {
		r.waits(t)
		killed := scene.Now()
		scene.Kill(t, r.agent, syscall.SIGKILL)
		r.dead(t, killed, soon)
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
		killed := scene.Now()
		scene.Kill(t, r.agent, syscall.SIGSTOP) // or it would act in the moment between
		scene.Kill(t, r.guard, syscall.SIGKILL)
		if err := syscall.Kill(r.agent, syscall.SIGKILL); err != nil && !r.first {
			t.Fatal(err)
		}
		r.a.Wait(t, prompt)
		if !r.survives {
			r.dead(t, killed, soon)
			r.taken(t)
			return
		}
		testkit.Wait(t, limit, func() (bool, string) {
			return !slices.Contains(r.alive(), payload), "the payload did not die with its parent"
		})
		for _, pid := range r.alive() {
			scene.Kill(t, pid, syscall.SIGKILL)
		}
		r.dead(t, scene.Now(), soon)
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
		stopped := scene.Now()
		scene.Kill(t, r.agent, syscall.SIGSTOP)
		r.dead(t, stopped, scene.Hold)
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
	for name, wrapper := range map[string]func(testing.TB, ...string) []string{"nested": testkit.AsPID1, "pid1": testkit.BoundedPID1} {
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
				if l.count(t, sig) != 1 || s.RecordedPhase(t) != "drained" {
					t.Errorf("%v: %s, record %s: expected it once, and drained", sig, l.text(t), s.RecordedPhase(t))
				}
			}
		})
	}
}
