package citizen

import (
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// needed is how long the payload takes to stop where it is let; tooLong is more than any grace here and the
// walk of a kill on a loaded machine.
const (
	needed  = 2 * time.Second
	tooLong = 20 * time.Second
)

// slack is for the moment between the executor's CONT and our look at the clock.
const slack = 200 * time.Millisecond

// hold is that of these tests. The executor's walk stops every process for a while, on a loaded machine for
// seconds: a lease as short as a scene's own would end in it.
const hold = 10 * time.Second

// patient is for tests in which nobody waits the hold: as long as any walk.
const patient = 50 * time.Second

func walked(hold time.Duration) []string {
	return []string{"--hold", hold.String(), "--heartbeat", "500ms", "--try-timeout", "1s", "--tries", "2", "--grace", "1s", "--kill-budget", "2s"}
}

// serving starts a task whose payload needs this long to stop, and one that waits for it.
func serving(t *testing.T, s *scene.Scene, how string, hold, stop time.Duration, options ...scene.Option) (a, b task) {
	t.Helper()
	s.Timing = walked(hold)
	payload := s.Payload(t, "-slow-stop", stop.String(), "-tick", "20ms")
	a.Job = s.Run(t, "a", append([]scene.Option{payload, asTask(), form(how)}, options...)...)
	a.Serving(t)
	testkit.Wait(t, limit, func() (bool, string) { return s.Count(t, "begin") > 0, "the payload has not begun" })
	b.Job = s.Run(t, "b", append([]scene.Option{s.Payload(t, "-tick", "20ms"), asTask()}, options...)...)
	b.WaitPhase(t, limit, "locking")
	return a, b
}

// A grace that is long enough: the payload stops in its own time, and the lock is given back.
func TestKillWithinTheGrace(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"args", "cmd with exec"} {
		for _, stop := range []string{"TERM", "none"} {
			t.Run(how+"/"+stop, func(t *testing.T) {
				t.Parallel()
				s := scene.New(t)
				a, b := serving(t, s, how, patient, needed, scene.Flags("--stop-signal", stop))
				code, lived := a.kill(t, 20*time.Second)
				if code != 0 || lived < needed-slack {
					t.Errorf("exit code %d after %v: expected the payload's 0 after its %v", code, lived, needed)
				}
				if waited := began(t, s, b) - s.Last(t, 1); waited > hold/2 {
					t.Errorf("b began %v after the payload's end: expected that it need not wait the hold of %v", waited, hold)
				}
				if n := s.Count(t, "signal-15"); n != 1 || s.Count(t, "end") != 1 {
					t.Errorf("%d TERM and %d ends: expected one of each", n, s.Count(t, "end"))
				}
				if code, _ := b.kill(t, 20*time.Second); code != 0 {
					t.Errorf("b's exit code %d: expected 0", code)
				}
				s.Judge(t)
			})
		}
	}
}

// A grace that is too short: all is killed, stopped before it was, so that nobody can say what is dead. The
// successor waits the hold.
func TestKillPastTheGrace(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"args", "cmd with exec"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := scene.New(t)
			a, b := serving(t, s, how, hold, tooLong, scene.Flags("--isolate", "none"))
			code, lived := a.kill(t, time.Second)
			if code != 137 || lived > tooLong/2 {
				t.Errorf("exit code %d after %v: expected to be killed", code, lived)
			}
			heldOff(t, s, b)
		})
	}
}

// A shell in front dies of the TERM at once, the container goes a second later, and the payload with it
// before it could end.
func TestKillWithAShellInFront(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	a, b := serving(t, s, "cmd", hold, tooLong, scene.Flags("--isolate", "none"))
	code, lived := a.kill(t, 20*time.Second)
	if code != 143 || lived > tooLong/2 {
		t.Errorf("exit code %d after %v: expected the shell's death of TERM at once", code, lived)
	}
	heldOff(t, s, b)
}

// heldOff: b serves after the hold, counted from the last heartbeat, and not before; the old payload never
// came to its end.
func heldOff(t *testing.T, s *scene.Scene, b task) {
	t.Helper()
	if s.Count(t, "end") != 0 {
		t.Error("the payload came to its end: expected a kill before it")
	}
	killed := s.Last(t, 1)
	if waited := began(t, s, b) - killed; waited < hold-2*time.Second {
		t.Errorf("b's payload began %v after the last moment of a's: expected the hold of %v", waited, hold)
	}
	b.Stop(t)
	if got := s.Judge(t); len(got) != 2 {
		t.Errorf("tokens %v: expected two", got)
	}
	if phase := s.RecordedPhase(t); phase != "drained" {
		t.Errorf("the record says %s: expected drained", phase)
	}
}

// began is the first moment of b's payload.
func began(t *testing.T, s *scene.Scene, b task) time.Duration {
	t.Helper()
	b.Serving(t)
	at := time.Duration(0)
	testkit.Wait(t, limit, func() (bool, string) {
		for _, l := range s.Lines(t) {
			if l.Token > 1 && at == 0 {
				at = l.At
			}
		}
		return at > 0, "b's payload has not begun"
	})
	return at
}
