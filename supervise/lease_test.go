package supervise

import (
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
)

func at(boot, raw time.Duration) clock.Stamp { return clock.Stamp{Boot: boot, Raw: raw} }

func TestAccept(t *testing.T) {
	now := at(100*time.Second, 50*time.Second)
	fresh := tenancy{grace: 5 * time.Second}
	held := tenancy{grace: 5 * time.Second, tenure: 1, kill: now.Add(10 * time.Second), stage: armed}
	finished := held
	finished.finished = true
	cases := []struct {
		name string
		t    tenancy
		l    Lease
		now  clock.Stamp
		ok   bool
	}{
		{"arm", fresh, Lease{1, now.Add(10 * time.Second)}, now, true},
		{"arm past TERM", fresh, Lease{1, now.Add(5 * time.Second)}, now, false},
		{"no tenure", fresh, Lease{0, now.Add(10 * time.Second)}, now, false},
		{"extend", held, Lease{1, now.Add(12 * time.Second)}, now, true},
		{"shorten", held, Lease{1, now.Add(9 * time.Second)}, now, false},
		{"later on one clock only", held, Lease{1, at(now.Boot+12*time.Second, now.Raw+10*time.Second)}, now, false},
		{"other tenure", held, Lease{2, now.Add(12 * time.Second)}, now, false},
		{"after TERM on boottime", held, Lease{1, now.Add(20 * time.Second)}, at(now.Boot+5*time.Second, now.Raw), false},
		{"after TERM on raw", held, Lease{1, now.Add(20 * time.Second)}, at(now.Boot, now.Raw+5*time.Second), false},
		{"after finish", finished, Lease{1, now.Add(12 * time.Second)}, now, false},
	}
	for _, c := range cases {
		if why := c.t.accept(c.l, c.now); (why == "") != c.ok {
			t.Errorf("%s: %q", c.name, why)
		}
	}
}

func TestRefuses(t *testing.T) {
	now := at(100*time.Second, 50*time.Second)
	held := tenancy{grace: 5 * time.Second, tenure: 1, kill: now.Add(10 * time.Second), stage: armed}
	inGrace, after := now.Add(6*time.Second), now.Add(10*time.Second)
	cases := []struct {
		name    string
		t       tenancy
		tenure  uint64
		payload bool
		now     clock.Stamp
		ok      bool
	}{
		{"unarmed", tenancy{}, 1, true, now, false},
		{"in time", held, 1, true, now, true},
		{"other tenure", held, 2, true, now, false},
		{"payload in the grace", held, 1, true, inGrace, false},
		{"worker in the grace", held, 1, false, inGrace, true},
		{"worker after the kill", held, 1, false, after, false},
		{"finished", tenancy{tenure: 1, kill: now.Add(time.Hour), stage: armed, finished: true}, 1, false, now, false},
	}
	for _, c := range cases {
		if why := c.t.refuses(c.tenure, c.payload, c.now); (why == "") != c.ok {
			t.Errorf("%s: %q", c.name, why)
		}
	}
}

// The timer must never sleep past the deadline, however BOOTTIME is slewed within its bounds.
func TestSleep(t *testing.T) {
	now := at(0, 0)
	if d := sleep(now, at(10*time.Second, 10*time.Second)); d != 8800*time.Millisecond {
		t.Errorf("slept %v of 10 s", d)
	}
	if d := sleep(now, at(time.Second, 10*time.Second)); d != time.Second {
		t.Errorf("slept %v with 1 s left on boottime", d)
	}
	if d := sleep(now, at(-time.Second, time.Second)); d != least {
		t.Errorf("slept %v past the deadline", d)
	}
}

// Orders that came too late for the clock, on a real guard that was stopped meanwhile.
func TestStoppedGuardFollowsNoLateOrder(t *testing.T) {
	needRoot(t)
	g := startGuard(t, options{})
	g.prepare(IsolatePIDNS, 300*time.Millisecond)
	g.lease(600 * time.Millisecond)
	g.order(command{Op: "start", Spec: Spec{ID: 9, Tenure: 1, Argv: []string{"true"}}})
	g.event(Exited) // so the lease has been read
	stop(t, g.pid)
	g.order(command{Op: "lease", Tenure: 1, Left: time.Minute}) // sent in time, read too late
	g.order(command{Op: "start", Spec: Spec{ID: 1, Tenure: 1, Payload: true, Argv: []string{"sleep", "1000"}}})
	sleepUntilPast(t, 400*time.Millisecond) // T_term has passed, T_kill has not
	send(t, g.pid, syscall.SIGCONT)
	g.event(Refused)
	if e := g.event(StartFailed); e.Stage != StageRefused {
		t.Errorf("start: %+v", e)
	}
	if e := g.event(Deadline); e.Stage != StageTerm {
		t.Errorf("deadline: %+v", e)
	}
	g.event(Empty)
	if n := len(g.survivors()); n > 0 && g.payloadProcesses() > 0 {
		t.Errorf("%d processes", n)
	}
}

// E4: the fork was slow and the time of TERM passed meanwhile: the second look refuses the go.
func TestSecondLookAfterTheFork(t *testing.T) {
	needRoot(t)
	g := startGuard(t, options{})
	d := g.prepare(IsolatePIDNS, 10*time.Second)
	g.lease(10*time.Second + 500*time.Millisecond)
	stop(t, d.InitPID) // it will fork only later
	g.order(command{Op: "start", Spec: Spec{ID: 1, Tenure: 1, Payload: true, Argv: []string{"sh", "-c", "touch /tmp/went-" + g.mark}}})
	if e := g.event(Deadline); e.Stage != StageTerm {
		t.Fatalf("deadline: %+v", e)
	}
	send(t, d.InitPID, syscall.SIGCONT)
	if e := g.event(StartFailed); e.Stage != StageRefused {
		t.Errorf("start: %+v", e)
	}
	wantNoFile(t, "/tmp/went-"+g.mark)
}

func TestNothingStartsWithoutALease(t *testing.T) {
	needRoot(t)
	g := startGuard(t, options{})
	start := command{Op: "start", Spec: Spec{ID: 1, Tenure: 1, Payload: true, Argv: []string{"true"}}}
	want := func(when string) {
		t.Helper()
		g.order(start)
		if e := g.event(StartFailed); e.Stage != StageRefused || e.Text == "" {
			t.Errorf("%s: %+v", when, e)
		}
	}
	want("before prepare")
	g.prepare(IsolatePIDNS, 0)
	want("before the lease")
	g.lease(time.Minute)
	start.Spec.Tenure = 2
	want("another tenure")
	start.Spec.Tenure = 1
	g.order(command{Op: "finish", Tenure: 1})
	if e := g.event(Dead); e.Tenure != 1 {
		t.Errorf("dead: %+v", e)
	}
	want("after the end")
	g.order(command{Op: "lease", Tenure: 1, Left: time.Hour})
	g.event(Refused)
	g.order(command{Op: "exit", Code: 75}) // nothing was started: the agent's own code
	g.wantCode(75)
}
