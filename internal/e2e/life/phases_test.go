package life

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// limit bounds what needs no waiting at all; prompt is what a stop may take on a loaded machine.
const (
	limit  = 20 * time.Second
	prompt = 10 * time.Second
)

// early sends a stop before the payload runs: 128+n, promptly, and nothing was started.
func early(t *testing.T, s *scene.Scene, j *scene.Job, sig syscall.Signal) {
	t.Helper()
	begins := s.Count(t, "begin")
	tree := testkit.Snapshot(t, j.Pid())
	j.Signal(t, sig)
	j.Expect(t, prompt, 128+int(sig))
	nothingLeft(t, tree)
	if s.Count(t, "begin") != begins {
		t.Error("a payload was started all the same")
	}
}

// eachStop runs a test for TERM, INT and QUIT.
func eachStop(t *testing.T, test func(t *testing.T, sig syscall.Signal)) {
	for _, sig := range stopSignals {
		t.Run(strconv.Itoa(int(sig)), func(t *testing.T) { t.Parallel(); test(t, sig) })
	}
}

func TestStopInTheQueue(t *testing.T) {
	t.Parallel()
	s := calm(t)
	a := s.Run(t, "a")
	a.Serving(t)
	begun(t, s)
	for _, sig := range stopSignals {
		b := s.Run(t, "b"+strconv.Itoa(int(sig)))
		b.WaitPhase(t, limit, "locking")
		early(t, s, b, sig)
	}
	if st, err := a.Status(); err != nil || st.Phase != "serving" {
		t.Errorf("the holder is %v, %v: expected it to be untouched", st.Phase, err)
	}
	if code := a.Stop(t); code != 0 {
		t.Errorf("the holder ended with %d", code)
	}
	s.Run(t, "next").Serving(t) // no abandoned place in the queue blocks it
}

// owing leaves a lock whose record says that its holder may still run: guard and agent died at once, in a
// way of killing that leaves no proof.
func owing(t *testing.T, s *scene.Scene) {
	t.Helper()
	a := s.Run(t, "crashed", scene.Flags("--isolate", "none"))
	payload := a.Serving(t).Payload.PID
	begun(t, s)
	agent := a.Agent(t)
	tree := testkit.Snapshot(t, payload)
	scene.Kill(t, a.Pid(), syscall.SIGKILL)
	scene.Kill(t, agent, syscall.SIGKILL)
	a.Wait(t, prompt)
	tree.WaitGone(t, prompt) // it dies with its parent
}

func TestStopInTheHoldOff(t *testing.T) {
	t.Parallel()
	eachStop(t, func(t *testing.T, sig syscall.Signal) {
		s := scene.New(t)
		owing(t, s)
		b := s.Run(t, "b")
		if st := b.WaitPhase(t, limit, "holding-off"); st.Payload.PID != 0 {
			t.Errorf("a payload %d in the hold-off", st.Payload.PID)
		}
		early(t, s, b, sig)
		c := s.Run(t, "c") // the record of the crashed one still counts
		c.WaitPhase(t, limit, "holding-off")
		c.Serving(t)
		s.Judge(t)
	})
}

// slow is a script that marks its start, then sleeps.
func slow(mark string) string {
	return `["sh", "-c", "trap '' TERM INT QUIT; echo >> ` + mark + `; sleep 100"]`
}

func marked(t *testing.T, mark string) {
	t.Helper()
	testkit.Wait(t, limit, func() (bool, string) {
		_, err := os.Stat(mark)
		return err == nil, "the script has not begun"
	})
}

func TestStopInTheRestore(t *testing.T) {
	t.Parallel()
	eachStop(t, func(t *testing.T, sig syscall.Signal) {
		s := calm(t)
		mark := filepath.Join(s.Dir, "mark")
		a := s.Run(t, "a", scene.Flags("--restore-exec", slow(mark)))
		a.WaitPhase(t, limit, "restoring")
		marked(t, mark)
		early(t, s, a, sig)
		// Unfinished: the next start repeats it.
		a = s.Run(t, "next", scene.Flags("--restore-exec", `["sh", "-c", "echo again > `+mark+`"]`))
		a.Serving(t)
		if b, err := os.ReadFile(mark); err != nil || string(b) != "again\n" {
			t.Errorf("the restore that was stopped was not repeated: %q, %v", b, err)
		}
	})
}

func TestStopInPreStart(t *testing.T) {
	t.Parallel()
	eachStop(t, func(t *testing.T, sig syscall.Signal) {
		s := calm(t)
		mark := filepath.Join(s.Dir, "mark")
		a := s.Run(t, "a", scene.Flags("--hooks-pre-start-exec", slow(mark)))
		a.WaitPhase(t, limit, "starting")
		marked(t, mark)
		early(t, s, a, sig)
	})
}

// TERM at a random moment of each part of the first 120 ms, most of them before or at the launch, to the guard alone or to
// its whole group: the run ends promptly; either nothing was started and the code is 128+15, or the payload
// was told once and the code is its own.
func TestStopAroundTheLaunch(t *testing.T) {
	t.Parallel()
	tries := 14
	if testkit.Long() {
		tries = 150
	}
	eachIsolation(t, func(t *testing.T, isolate scene.Option) {
		s := calm(t)
		never, told := 0, 0
		for i := range tries {
			s.Trace = filepath.Join(s.Dir, "trace"+strconv.Itoa(i))
			a := s.Run(t, "a"+strconv.Itoa(i), isolate)
			<-time.After(120 * time.Millisecond * time.Duration(i*1000+rand.IntN(1000)) / time.Duration(tries*1000))
			tree := testkit.Snapshot(t, a.Pid())
			to := a.Pid()
			if i%2 == 1 {
				to = -to
			}
			scene.Kill(t, to, syscall.SIGTERM)
			code := a.Wait(t, prompt)
			nothingLeft(t, tree)
			switch began := s.Count(t, "begin"); {
			case began == 0 && code == 128+15:
				never++
			case began == 1 && code == 0 && s.Count(t, "signal-15") == 1,
				began == 1 && code == 128+15 && s.Count(t, "signal-15") == 0: // before it had a handler
				told++
			default:
				t.Errorf("try %d: %d payloads, told %d times, exit code %d (%s)", i, began, s.Count(t, "signal-15"), code, a.ReasonText())
			}
		}
		if never == 0 {
			t.Errorf("none of %d tries came before the launch: this tested nothing (%d were told)", tries, told)
		}
	})
}

// While serving, the payload is told once, by the signal that came (QUIT and INT as they are), and its own
// code passes.
func TestStopWhileServing(t *testing.T) {
	t.Parallel()
	eachStop(t, func(t *testing.T, sig syscall.Signal) {
		s := calm(t)
		l, payload := listen(t, s)
		a := s.Run(t, "a", payload)
		a.Serving(t)
		l.began(t)
		a.Signal(t, sig)
		a.Expect(t, prompt, 23)
		if n := l.count(t, sig); n != 1 {
			t.Errorf("the payload got the signal %d times: expected once: %s", n, l.text(t))
		}
	})
}

// A second order while stopping changes nothing: no second signal, no shorter patience.
func TestStopWhileStopping(t *testing.T) {
	t.Parallel()
	s := calm(t)
	a := s.Run(t, "a", s.Payload(t, "-slow-stop", "700ms", "-code", "5"))
	a.Serving(t)
	begun(t, s)
	a.Signal(t, syscall.SIGTERM)
	a.WaitPhase(t, limit, "stopping")
	for _, sig := range stopSignals {
		a.Signal(t, sig)
	}
	a.Expect(t, prompt, 5)
	if s.Count(t, "signal-15") != 1 || s.Count(t, "end") != 1 {
		t.Errorf("signal-15 %d times, end %d times: expected once each", s.Count(t, "signal-15"), s.Count(t, "end"))
	}
}
