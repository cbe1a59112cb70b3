package life

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// isolations are the ways of containing that this machine has for root.
var isolations = []string{"auto", "cgroup", "none"}

// eachIsolation runs a test for every way of containing.
func eachIsolation(t *testing.T, test func(t *testing.T, isolate scene.Option)) {
	for _, way := range isolations {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			if way == "cgroup" {
				testkit.RequireRoot(t)
			}
			test(t, scene.Flags("--isolate", way))
		})
	}
}

func TestForwards(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(t *testing.T, isolate scene.Option) {
		s := calm(t)
		l, payload := listen(t, s)
		a := s.Run(t, "a", payload, isolate)
		a.Serving(t)
		l.began(t)
		forwarded := []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH}
		for _, sig := range forwarded {
			a.Signal(t, sig)
			l.got(t, sig)
		}
		if st, err := a.Status(); err != nil || st.Phase != "serving" {
			t.Errorf("%v, %v: expected to serve on", st.Phase, err)
		}
		a.Signal(t, syscall.SIGTERM)
		a.Expect(t, prompt, 23)
		for _, sig := range append(forwarded, syscall.SIGTERM) {
			if n := l.count(t, sig); n != 1 {
				t.Errorf("%v came %d times: expected once", sig, n)
			}
		}
	})
}

// Ctrl-C and dumb-init signal the whole group of the top process: the payload, in a group of its own, is
// told once.
func TestGroupSignal(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(t *testing.T, isolate scene.Option) {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			s := calm(t)
			l, payload := listen(t, s)
			a := s.Run(t, "a", payload, isolate)
			pid := a.Serving(t).Payload.PID
			l.began(t)
			if group, err := syscall.Getpgid(pid); err != nil || group != pid {
				t.Errorf("the payload %d is in group %d, %v: expected its own", pid, group, err)
			}
			scene.Kill(t, -a.Pid(), sig)
			a.Expect(t, prompt, 23)
			if n := l.count(t, sig); n != 1 {
				t.Errorf("%v came %d times: expected once", sig, n)
			}
			if phase := s.RecordedPhase(t); phase != "drained" {
				t.Errorf("the record says %s: expected drained", phase)
			}
		}
	})
}

// Mesos stops, terminates and continues every process of the tree, one by one.
func TestTreeSignal(t *testing.T) {
	t.Parallel()
	for _, stop := range []string{"TERM", "none"} {
		t.Run(stop, func(t *testing.T) {
			t.Parallel()
			eachIsolation(t, func(t *testing.T, isolate scene.Option) {
				s := calm(t)
				l, payload := listen(t, s)
				a := s.Run(t, "a", payload, isolate, scene.Flags("--stop-signal", stop))
				a.Serving(t)
				l.began(t)
				all := a.WholeTree(t)
				tree := testkit.Snapshot(t, a.Pid())
				for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGTERM, syscall.SIGCONT} {
					for _, pid := range all {
						scene.Kill(t, pid, sig)
					}
				}
				a.Expect(t, prompt, 23)
				nothingLeft(t, tree)
				if n := l.count(t, syscall.SIGTERM); stop == "none" && n != 1 || n < 1 {
					t.Errorf("TERM came %d times to a payload with --stop-signal %s", n, stop)
				}
				if phase := s.RecordedPhase(t); phase != "drained" {
					t.Errorf("the record says %s: expected drained", phase)
				}
			})
		})
	}
}

// A stop of every process, for less than the margin: it serves on, the payload of before, and hears of nothing.
func TestShortStop(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(t *testing.T, isolate scene.Option) {
		s := calm(t)
		l, payload := listen(t, s)
		a := s.Run(t, "a", payload, isolate)
		pid := a.Serving(t).Payload.PID
		l.began(t)
		all := append(testkit.Descendants(a.Pid()), a.Pid())
		for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
			for _, p := range all {
				scene.Kill(t, p, sig)
			}
		}
		<-time.After(2 * time.Second) // heartbeats, and whatever would have been decided
		if st, err := a.Status(); err != nil || st.Phase != "serving" || st.Payload.PID != pid {
			t.Errorf("%v, payload %d, %v: expected to serve on with %d", st.Phase, st.Payload.PID, err, pid)
		}
		a.Signal(t, syscall.SIGTERM)
		a.Expect(t, prompt, 23)
		if n := l.count(t, syscall.SIGTERM); n != 1 {
			t.Errorf("TERM came %d times: expected once", n)
		}
	})
}

func TestStopSignal(t *testing.T) {
	t.Parallel()
	s := calm(t)
	l, payload := listen(t, s)
	a := s.Run(t, "a", payload, scene.Flags("--stop-signal", "USR1", "--stop-grace", "800ms"))
	a.Serving(t)
	l.began(t)
	a.Signal(t, syscall.SIGTERM)
	a.Expect(t, prompt, 137) // it only notes USR1
	if l.count(t, syscall.SIGUSR1) != 1 || l.count(t, syscall.SIGTERM) != 0 {
		t.Errorf("got %s: expected USR1 once and nothing else", l.text(t))
	}
}

// A payload that was stopped, with its whole group as by Ctrl-Z, is woken to hear the stop, and has its grace.
func TestStopOfAStoppedPayload(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(t *testing.T, isolate scene.Option) {
		s := calm(t)
		mark := filepath.Join(s.Dir, "mark")
		// The shell runs its trap only after its child has ended, which must be woken, too.
		a := s.Run(t, "a", isolate, scene.Flags("--stop-grace", "25s"), scene.Command("sh", "-c",
			`trap 'exit 23' TERM; echo >`+mark+`; while :; do sleep 0.1; done`))
		pid := a.Serving(t).Payload.PID
		marked(t, mark)
		scene.Kill(t, -pid, syscall.SIGSTOP)
		a.Signal(t, syscall.SIGTERM)
		a.Expect(t, prompt, 23)
	})
}

func TestStopSignalNone(t *testing.T) {
	t.Parallel()
	s := calm(t)
	l, payload := listen(t, s)
	a := s.Run(t, "a", payload, scene.Flags("--stop-signal", "none"))
	pid := a.Serving(t).Payload.PID
	l.began(t)
	a.Signal(t, syscall.SIGTERM)
	a.WaitPhase(t, limit, "stopping")
	scene.Kill(t, pid, syscall.SIGINT) // the sender's own
	a.Expect(t, prompt, 23)
	if l.count(t, syscall.SIGTERM) != 0 {
		t.Errorf("got %s: expected no TERM", l.text(t))
	}
}

// Past --stop-grace comes KILL, not before, and the heartbeats go on until then.
func TestStopGrace(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	a := s.Run(t, "a", s.Payload(t, "-ignore-term", "-tick", "20ms"), scene.Flags("--stop-grace", "6s"))
	payload := testkit.Snapshot(t, a.Serving(t).Payload.PID)
	begun(t, s)
	tree := testkit.Snapshot(t, a.Pid())
	asked := scene.Now()
	a.Signal(t, syscall.SIGTERM)
	payload.WaitGone(t, limit)
	died := scene.Now() // its last tick may be older: a busy machine does not let it write all the time
	a.Expect(t, limit, 137)
	// Longer than the hold: without heartbeats the lease would have ended it before.
	if lived := died - asked; lived < 6*time.Second || lived > 10*time.Second+testkit.Busy(t) {
		t.Errorf("the payload lived on for %v: expected the 6s of --stop-grace", lived)
	}
	nothingLeft(t, tree)
	if phase := s.RecordedPhase(t); phase != "drained" {
		t.Errorf("the record says %s: expected drained", phase)
	}
}

// What was ignored (nohup) or blocked when we started is so in the payload, and nothing else is. Of those
// that a Go program cannot keep, package supervise tells.
func TestIgnoredAndBlockedStaySo(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(t *testing.T, isolate scene.Option) {
		s := calm(t)
		a := s.Run(t, "a", isolate, scene.Command("grep", "^Sig", "/proc/self/status"), // a shell would unblock
			scene.Wrapped(func(_ testing.TB, argv ...string) []string {
				return append([]string{"env", "--ignore-signal=HUP", "--ignore-signal=INT", "--block-signal=USR1", "--block-signal=WINCH"}, argv...)
			}))
		a.Expect(t, limit, 0)
		ignored, blocked := mask(syscall.SIGHUP, syscall.SIGINT), mask(syscall.SIGUSR1, syscall.SIGWINCH)
		for _, want := range []string{"SigIgn:\t" + ignored, "SigBlk:\t" + blocked, "SigPnd:\t" + mask()} {
			if !strings.Contains(a.Stdout(t), want+"\n") {
				t.Errorf("expected %q in\n%s", want, a.Stdout(t))
			}
		}
	})
}

func mask(sigs ...syscall.Signal) string {
	var m uint64
	for _, s := range sigs {
		m |= 1 << (s - 1)
	}
	return fmt.Sprintf("%016x", m)
}

// Agent, probe helpers and namespace init take orders from the guard alone.
func TestSignalsToOthersChangeNothing(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(t *testing.T, isolate scene.Option) {
		s := calm(t)
		l, payload := listen(t, s)
		a := s.Run(t, "a", payload, isolate)
		served := a.Serving(t)
		l.began(t)
		deaf := append(a.Helpers(t), a.Agent(t))
		if len(deaf) < 2 {
			t.Errorf("%v: expected agent and probe helper", deaf)
		}
		if served.KillMode == "pidns" {
			deaf = append(deaf, a.Init(t))
		}
		for _, pid := range deaf {
			for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE, syscall.SIGWINCH} {
				scene.Kill(t, pid, sig)
			}
		}
		<-time.After(time.Second) // a few heartbeats
		for _, pid := range deaf {
			if syscall.Kill(pid, 0) != nil {
				t.Errorf("%d has ended", pid)
			}
		}
		if st, err := a.Status(); err != nil || st.Phase != "serving" {
			t.Errorf("%v, %v: expected to serve on", st.Phase, err)
		}
		if strings.Contains(l.text(t), "signal") {
			t.Errorf("the payload was told: %s", l.text(t))
		}
		a.Signal(t, syscall.SIGTERM)
		a.Expect(t, prompt, 23)
	})
}
