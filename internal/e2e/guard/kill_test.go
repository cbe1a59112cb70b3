// Package guard has the end-to-end tests of the two processes that watch each other: whatever is killed or
// stopped, nothing of the kill domain outlives its deadline, and two payloads never live at once.
package guard

import (
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// nasty is a payload that does all it can to outlive its supervisor: TERM ignored, a tree, and a daemon that
// left session and parent.
var nasty = []string{"-ignore-term", "-tree", "3", "-daemon"}

const lives = 5 // processes of a nasty payload

// rivals starts a on an etcd lock, with the nasty payload serving, and b waiting behind it.
func rivals(t *testing.T, options ...scene.Option) (s *scene.Scene, a, b *scene.Job) {
	t.Helper()
	s = scene.New(t)
	s.Lock = "etcd://" + testkit.SharedEtcd(t).Addr() + "/" + strings.ReplaceAll(t.Name(), "/", "-")
	if code, _, errs := scene.Interlock(t, "lock", "init", "--lock", s.Lock); code != 0 {
		t.Fatalf("lock init: %d: %s", code, errs)
	}
	a = s.Run(t, "a", append([]scene.Option{s.Payload(t, nasty...)}, options...)...)
	a.Serving(t)
	testkit.Wait(t, 10*time.Second, func() (bool, string) {
		return s.Count(t, "begin") >= lives, "the nasty payload is not complete"
	})
	b = s.Run(t, "b")
	b.WaitPhase(t, 10*time.Second, "locking")
	return s, a, b
}

// tokenOf is the token of the first tenure in the trace.
func tokenOf(t *testing.T, s *scene.Scene) uint64 { t.Helper(); return s.Lines(t)[0].Token }

// taken waits until b serves, stops it, and judges the trace.
func taken(t *testing.T, s *scene.Scene, b *scene.Job) {
	t.Helper()
	token := b.Serving(t).Lock.Token
	testkit.Wait(t, 10*time.Second, func() (bool, string) { // or TERM comes before it can be handled
		for _, l := range s.Lines(t) {
			if strconv.FormatUint(l.Token, 10) == token {
				return true, ""
			}
		}
		return false, "b's payload has not begun"
	})
	if code := b.Stop(t); code != 0 {
		t.Errorf("b ended with %d: %s", code, b.ReasonText())
	}
	if order := s.Judge(t); len(order) != 2 {
		t.Errorf("tenures with tokens %v: expected two", order)
	}
}

func TestKillGuard(t *testing.T) {
	s, a, b := rivals(t)
	a.Signal(t, syscall.SIGKILL)
	a.Wait(t, 5*time.Second)
	// The agent proves the death by the namespace's init and releases: no hold is waited.
	began := testkit.Monotonic()
	b.Serving(t)
	if took := testkit.Monotonic() - began; took > scene.Hold+testkit.Busy(t) {
		t.Errorf("b took %v to take over: expected the agent to release", took)
	}
	taken(t, s, b)
}

func TestKillAgent(t *testing.T) {
	s, a, b := rivals(t)
	agent := a.Agent(t)
	killed := scene.Now()
	kill(t, agent, syscall.SIGKILL)
	why := a.Expect(t, 5*time.Second, 70)
	if !strings.Contains(why, "agent") {
		t.Errorf("reason %q does not name the agent", why)
	}
	if late := s.Last(t, tokenOf(t, s)) - killed; late > time.Second+testkit.Busy(t) {
		t.Errorf("the payload lived %v longer than the agent", late)
	}
	taken(t, s, b)
}

func TestKillBoth(t *testing.T) {
	s, a, b := rivals(t)
	agent := a.Agent(t)
	killed := scene.Now()
	kill(t, a.Pid(), syscall.SIGKILL)
	kill(t, agent, syscall.SIGKILL)
	a.Wait(t, 5*time.Second)
	b.Serving(t)
	if late := s.Last(t, tokenOf(t, s)) - killed; late > time.Second+testkit.Busy(t) {
		t.Errorf("the payload lived %v longer than guard and agent: the namespace must die with them", late)
	}
	taken(t, s, b)
}

func TestKillInit(t *testing.T) {
	s, a, b := rivals(t)
	kill(t, a.Init(t), syscall.SIGKILL)
	a.Expect(t, 10*time.Second, 128+int(syscall.SIGKILL))
	taken(t, s, b)
}

// The agent is stopped for twice the hold: the guard's own deadline ends the payload.
func TestStoppedAgent(t *testing.T) {
	s, a, b := rivals(t)
	agent := a.Agent(t)
	kill(t, agent, syscall.SIGSTOP)
	<-time.After(2 * scene.Hold)
	if last := s.Last(t, tokenOf(t, s)); scene.Now()-last < scene.Hold/2 {
		t.Error("the payload still lives")
	}
	kill(t, agent, syscall.SIGCONT)
	a.Expect(t, 10*time.Second, 76)
	taken(t, s, b)
}

// The guard is stopped: the agent takes over from it, kills, and releases.
func TestStoppedGuard(t *testing.T) {
	s, a, b := rivals(t)
	kill(t, a.Pid(), syscall.SIGSTOP)
	a.Wait(t, 3*scene.Hold) // the agent kills it
	taken(t, s, b)
}

// The whole tree is stopped for less than the margin: nothing happens.
func TestShortStopOfAll(t *testing.T) {
	s, a, b := rivals(t)
	all := append(testkit.Descendants(a.Pid()), a.Pid())
	for _, p := range all {
		kill(t, p, syscall.SIGSTOP)
	}
	for _, p := range all {
		kill(t, p, syscall.SIGCONT)
	}
	<-time.After(time.Second)
	if st, err := a.Status(); err != nil || st.Phase != "serving" {
		t.Fatalf("%v, %v", st.Phase, err)
	}
	a.Signal(t, syscall.SIGKILL)
	taken(t, s, b)
}

// A payload that changed its credentials, as gosu does, has no parent-death signal any more.
func TestChangedCredentials(t *testing.T) {
	testkit.RequireRoot(t)
	s := scene.New(t)
	argv := append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", scene.PayloadBinary(t), "-log", s.Trace}, nasty...)
	a := s.Run(t, "a", scene.Command(argv...))
	a.Serving(t)
	testkit.Wait(t, 10*time.Second, func() (bool, string) { return s.Count(t, "begin") >= lives, "not complete" })
	agent := a.Agent(t)
	killed := scene.Now()
	kill(t, a.Pid(), syscall.SIGKILL)
	kill(t, agent, syscall.SIGKILL)
	b := s.Run(t, "b")
	b.Serving(t)
	if late := s.Last(t, 1) - killed; late > time.Second+testkit.Busy(t) {
		t.Errorf("the payload lived on for %v", late)
	}
	taken(t, s, b)
}

func TestBigTreeThatIgnoresTerm(t *testing.T) {
	s := scene.New(t)
	a := s.Run(t, "a", s.Payload(t, "-ignore-term", "-tree", "300", "-tick", "200ms"), scene.Flags("--stop-grace", "500ms"))
	a.Serving(t)
	testkit.Wait(t, 30*time.Second, func() (bool, string) { return s.Count(t, "begin") >= 301, "the tree is not complete" })
	tree := testkit.Snapshot(t, a.Pid())
	if code := a.Stop(t); code != 137 {
		t.Errorf("exit code %d (%s): expected 137, the payload was killed after the grace", code, a.ReasonText())
	}
	if left := tree.Alive(); len(left) > 0 {
		t.Errorf("%d processes outlived interlock", len(left))
	}
}

func TestOrphansAreReaped(t *testing.T) {
	s := scene.New(t)
	a := s.Run(t, "a", s.Payload(t, "-orphans", "10000", "-tick", "1s", "-after", "200ms", "-code", "9"))
	a.Expect(t, 90*time.Second, 9) // no orphan's odd status is taken for the payload's
}

func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("kill -%d %d: %v", int(sig), pid, err)
	}
}

// An agent that hangs before its first order (here in a configuration file that never ends) keeps nobody
// from stopping the run, and does not outlive its guard.
func TestAgentThatHangsAtItsStart(t *testing.T) {
	s := scene.New(t)
	fifo := filepath.Join(s.Dir, "config")
	if err := syscall.Mkfifo(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	a := s.Run(t, "a", scene.Flags("--config", fifo))
	a.Agent(t)
	a.Signal(t, syscall.SIGTERM)
	a.Expect(t, 10*time.Second, 128+int(syscall.SIGTERM))
	b := s.Run(t, "b", scene.Flags("--config", fifo))
	b.Agent(t)
	tree := testkit.Snapshot(t, b.Pid())
	b.Signal(t, syscall.SIGKILL)
	tree.WaitGone(t, 10*time.Second)
	if n := s.Count(t, "begin"); n != 0 {
		t.Errorf("%d payloads were started", n)
	}
}
