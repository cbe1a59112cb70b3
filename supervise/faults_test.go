package supervise

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func send(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("signal %v to %d: %v", sig, pid, err)
	}
}

// stop returns when every thread has stopped: kill(2) itself does not wait for that.
func stop(t *testing.T, pid int) {
	t.Helper()
	send(t, pid, syscall.SIGSTOP)
	dir := "/proc/" + strconv.Itoa(pid) + "/task/"
	eventually(t, "every thread is stopped", func() bool {
		threads, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, thread := range threads {
			b, err := os.ReadFile(dir + thread.Name() + "/stat")
			if _, state, ok := strings.Cut(string(b), ") "); err != nil || !ok || state[0] != 'T' {
				return false
			}
		}
		return true
	})
}

// daemonised starts a payload whose daemon left session, process group and parent.
func daemonised(t *testing.T, isolate string, grace, left time.Duration) *guarded {
	t.Helper()
	g := startGuard(t, options{})
	g.begin(isolate, grace, left, self(t), "payload-under-test", "daemon")
	eventually(t, "daemon is there", func() bool { return g.payloadProcesses() >= 3 })
	return g
}

func TestKillNineOfAgent(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		g := daemonised(t, isolate, time.Second, time.Minute)
		send(t, g.agent, syscall.SIGKILL)
		g.wantCode(70)
		if left := g.survivors(); len(left) != 0 {
			t.Fatalf("guard exited before %v were dead", left)
		}
	})
}

// A PID namespace needs nobody: when the guard dies it dies.
func TestKillNineOfGuardAndAgentAtOnce(t *testing.T) {
	needRoot(t)
	g := daemonised(t, IsolatePIDNS, time.Second, time.Minute)
	stop(t, g.agent) // so that it cannot help between the two kills
	send(t, g.pid, syscall.SIGKILL)
	send(t, g.agent, syscall.SIGKILL)
	g.exit()
	g.wantNobody()
}

func TestKillNineOfGuardThenTakeOver(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		g := daemonised(t, isolate, time.Second, time.Minute)
		send(t, g.pid, syscall.SIGKILL)
		g.exit()
		g.await("end of events", func(r reply) bool { return r.End })
		checkTakeOver(t, g, isolate)
	})
}

// soon is a lease that a payload and its daemon begin in, on a busy machine, too.
const soon = 3 * time.Second

func TestStoppedGuardPastTheDeadline(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		g := daemonised(t, isolate, 0, soon)
		stop(t, g.pid)
		sleepUntilPast(t, soon)
		if g.payloadProcesses() == 0 {
			t.Fatal("the payload is dead although its guard was stopped: the test shows nothing")
		}
		checkTakeOver(t, g, isolate)
		g.exit()
	})
}

// sleepUntilPast waits for a moment, not for an effect: the deadline itself.
func sleepUntilPast(t *testing.T, d time.Duration) {
	t.Helper()
	<-time.After(d + 50*time.Millisecond)
}

func checkTakeOver(t *testing.T, g *guarded, isolate string) {
	t.Helper()
	r := g.order(command{Op: "takeover", Timeout: 10 * time.Second, Env: []string{"INTERLOCK_TOKEN=7", "INTERLOCK_LOCK=l-" + g.mark}})
	if r.Err != "" || r.Proof.Proven != (isolate != IsolateNone) {
		t.Fatalf("take-over: %+v %s", r.Proof, r.Err)
	}
	if left := g.survivors(); len(left) != 0 {
		t.Fatalf("take-over returned before %v were dead", left)
	}
}

// A stopped agent: the guard alone keeps the deadline, TERM first and KILL in time; when the agent
// comes back it can still finish.
func TestStoppedAgentPastTheDeadline(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		g := daemonised(t, isolate, 300*time.Millisecond, soon)
		stop(t, g.agent)
		g.wantNobody()
		send(t, g.agent, syscall.SIGCONT)
		if e := g.event(Deadline); e.Stage != StageTerm {
			t.Errorf("first stage is %q", e.Stage)
		}
		if e := g.event(Deadline); e.Stage != StageKill {
			t.Errorf("second stage is %q", e.Stage)
		}
		g.event(Exited)
		g.event(Empty)
		g.finishes(76)
	})
}

func TestAgentThatNeverComesBack(t *testing.T) {
	needRoot(t)
	g := daemonised(t, IsolatePIDNS, 0, soon)
	stop(t, g.agent)
	begin := time.Now()
	g.wantCode(76)
	if d := time.Since(begin); d < 5*time.Second {
		t.Errorf("the agent was given %v only", d)
	}
	eventually(t, "agent is dead", func() bool { return syscall.Kill(g.agent, 0) == syscall.ESRCH })
}

func TestTreeThatIgnoresTerm(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		g := startGuard(t, options{})
		g.begin(isolate, 0, time.Minute, self(t), "payload-under-test", "tree", "300")
		eventually(t, "300 children", func() bool { return g.payloadProcesses() >= 301 })
		begin := time.Now()
		g.order(command{Op: "kill", Tenure: 1})
		g.event(Exited)
		g.event(Empty)
		t.Logf("%s: 300 processes proven dead after %v", isolate, time.Since(begin))
		if left := g.survivors(); len(left) > 0 && isolate != IsolatePIDNS || g.payloadProcesses() > 0 {
			t.Fatalf("empty was said while %v lived", left)
		}
	})
}

// gosu, setpriv: the change of credentials clears PDEATHSIG, and must change nothing else.
func TestChangedCredentials(t *testing.T) {
	eachMode(t, func(t *testing.T, isolate string) {
		g := startGuard(t, options{})
		g.begin(isolate, 0, soon, "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c", "trap '' TERM; sleep 1000 & while :; do sleep 1000; done")
		eventually(t, "payload is there", func() bool { return g.payloadProcesses() >= 2 })
		g.event(Empty)
		if n := g.payloadProcesses(); n > 0 {
			t.Fatalf("%d processes outlived the deadline", n)
		}
	})
}

// A killed namespace is followed by a new one when something is started again, announced first.
func TestNewNamespaceAfterKill(t *testing.T) {
	needRoot(t)
	g := startGuard(t, options{})
	first := g.prepare(IsolatePIDNS, 0)
	g.lease(time.Minute)
	g.order(command{Op: "start", Spec: Spec{ID: 1, Tenure: 1, Payload: true, Argv: []string{"sleep", "1000"}}})
	g.event(Started)
	g.order(command{Op: "kill", Tenure: 1})
	if e := g.event(Exited); !e.Status.Signaled() || e.Status.Signal() != syscall.SIGKILL {
		t.Errorf("killed payload: %#x", uint32(e.Status))
	}
	g.event(Empty)
	g.order(command{Op: "start", Spec: Spec{ID: 2, Tenure: 1, Worker: true, Argv: []string{"a"}}})
	second := g.event(Ready).Domain
	if second.PIDNamespace == 0 || second.PIDNamespace == first.PIDNamespace && second.InitPID == first.InitPID {
		t.Errorf("namespaces %+v and %+v", first, second)
	}
	g.event(Started)
	if e := g.event(Exited); e.ID != 2 || e.Status.ExitStatus() != 3 {
		t.Errorf("worker: %+v", e)
	}
	g.finishes(0)
}
