package lifecycle

import (
	"io"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/supervise"
)

// A run is one Runner under test.
type run struct {
	*testing.T
	r       *Runner
	guard   *scriptedGuard
	lock    *scriptedLock
	ended   chan Verdict
	ground  *ground                                        // stands for the machine's storage, if set
	unwatch func(*mountcheck.Watcher) error                // ends the probes, if set
	cut     func(*Runner, courier.Request, []string) error // cuts the device off, if set
	first   func()                                         // called before the run, if set
}

// cutsOff stands for the process that cuts a device off.
func (x *run) cutsOff(err error) {
	x.cut = func(*Runner, courier.Request, []string) error { return err }
}

// begin starts a run on a lock that its previous holder had left drained, with hooks as asked for.
func begin(t *testing.T, prepare func(*Plan, *run)) *run {
	t.Helper()
	g, l := newScriptedGuard(), newScriptedLock(t, lock.Record{Phase: lock.Drained, Token: 1})
	p := Plan{
		Lock: LockPlan{Driver: l, Wait: lock.Forever, Name: "test", Options: lock.Options{
			Timing: timing(), Holder: "h", Node: "n", BootID: "b", Clock: clock.Now,
		}},
		Payload: PayloadPlan{ArgvFrom: 1, Name: "payload"},
		Stop:    StopPlan{Signal: syscall.SIGTERM, Grace: 300 * time.Millisecond, LossGrace: 200 * time.Millisecond},
		Budgets: Budgets{Mount: 5 * time.Second, Claim: 5 * time.Second, Drain: 300 * time.Millisecond},
	}
	x := &run{T: t, guard: g, lock: l, ended: make(chan Verdict, 1)}
	if prepare != nil {
		prepare(&p, x)
	}
	p.Lock.Driver = x.lock
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	x.r = New(p, Deps{Guard: g, Clock: clock.Now, Log: log})
	if x.ground != nil {
		x.r.ground = *x.ground
	}
	if x.cut != nil {
		x.r.ground.cut = x.cut
	}
	if x.unwatch != nil {
		x.r.seen.end = x.unwatch
	}
	if x.first != nil {
		x.first()
	}
	go func() { x.ended <- x.r.Run() }()
	return x
}

const patience = 20 * time.Second // a guard against hanging, no measure

// until waits for a condition that the run brings about.
func (x *run) until(what string, done func() bool) {
	x.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			x.Fatalf("not within %v: %s (phase %s, calls %v)", patience, what, x.r.Status().Phase, x.guard.calls)
		}
	}
}

func (x *run) in(p Phase) {
	x.Helper()
	x.until("phase "+p.String(), func() bool { return x.r.Status().Phase == p.String() })
}

func (x *run) signal(s syscall.Signal) {
	x.guard.events <- supervise.Event{Kind: supervise.SignalReceived, Signal: s}
}

// ends waits for the verdict.
func (x *run) ends(code int) Verdict {
	x.Helper()
	select {
	case v := <-x.ended:
		if v.Code != code {
			x.Errorf("exit code %d (%s), want %d", v.Code, v.Reason, code)
		}
		return v
	case <-time.After(patience):
		x.Fatalf("the run did not end within %v: phase %s, calls %v", patience, x.r.Status().Phase, x.guard.calls)
	}
	return Verdict{}
}

func (x *run) releasedAs(p lock.Phase) {
	x.Helper()
	if r, ok := x.lock.released(); !ok || r.Phase != p {
		x.Errorf("released %v as %q, want %s", ok, r.Phase, p)
	}
}

func TestOrdinaryRun(t *testing.T) {
	x := begin(t, nil)
	x.in(Serving)
	x.signal(syscall.SIGTERM)
	x.ends(128 + int(syscall.SIGTERM))
	x.releasedAs(lock.Drained)
}

// TERM in each phase before the payload ends the run with 128+n and starts nothing more.
func TestStopBeforeThePayload(t *testing.T) {
	t.Run("locking", func(t *testing.T) {
		x := begin(t, func(_ *Plan, x *run) { x.lock.held = true })
		x.in(Locking)
		x.signal(syscall.SIGTERM)
		x.ends(143)
		if x.lock.left == 0 {
			t.Error("the key was not deleted")
		}
	})
	t.Run("holding off", func(t *testing.T) {
		x := begin(t, func(_ *Plan, x *run) {
			x.lock = newScriptedLock(t, lock.Record{Phase: lock.Running, Token: 1, WaitMS: 30000})
		})
		x.in(HoldingOff)
		x.signal(syscall.SIGTERM)
		x.ends(143)
		if _, ok := x.lock.released(); ok || x.guard.count("start") > 0 {
			t.Errorf("released %v, calls %v: expected the key deleted, the record left, and nothing started", ok, x.guard.calls)
		}
	})
	t.Run("pre_start", func(t *testing.T) {
		x := begin(t, func(p *Plan, x *run) {
			p.Payload.Hooks.PreStart = Hook{Exec: []string{"hook"}, Timeout: time.Minute}
			x.guard.onStart = func(s supervise.Spec) bool { return !s.Payload }
		})
		x.until("the hook", func() bool { return x.guard.noted("start hook") })
		x.signal(syscall.SIGINT)
		x.ends(130)
		if x.guard.noted("start payload") {
			t.Error("the payload was started after the stop")
		}
	})
}

// The guard dies while everything is being killed and nothing was proven yet: somebody must prove it.
func TestGuardDiesWhileKilling(t *testing.T) {
	x := begin(t, func(_ *Plan, x *run) { x.guard.onKill = func() bool { return true } })
	x.in(Serving)
	x.guard.events <- supervise.Event{Kind: supervise.Exited, ID: payloadID}
	x.until("kill", func() bool { return x.guard.noted("kill") })
	x.guard.die()
	x.ends(0)
	if !x.guard.noted("take over") {
		t.Error("nobody took over from the dead guard")
	}
	x.releasedAs(lock.Dead)
}

func TestGuardDiesInEachPhase(t *testing.T) {
	for _, p := range []Phase{HoldingOff, Starting, Serving, Stopping, Losing, Killing, Saving, Draining, Finishing} {
		t.Run(p.String(), func(t *testing.T) {
			x, _ := withStore(t, func(pl *Plan, x *run) {
				hold := func() bool { return true }
				switch p {
				case HoldingOff:
					x.lock = newScriptedLock(t, lock.Record{Phase: lock.Running, Token: 1, WaitMS: 30000})
				case Starting:
					pl.Payload.Hooks.PreStart = Hook{Exec: []string{"hook"}, Timeout: time.Minute}
					x.guard.onStart = func(s supervise.Spec) bool { return !s.Payload }
				case Stopping, Losing:
					pl.Stop.Grace, pl.Stop.LossGrace = time.Minute, time.Minute
					x.guard.onSignal = func(uint32, syscall.Signal) bool { return true }
				case Killing:
					x.guard.onKill = hold
				case Saving:
					pl.Store.OnStop = true
				case Draining:
					pl.Payload.Hooks.PostStop = Hook{Exec: []string{"hook"}, Timeout: time.Minute}
					x.guard.onStart = func(s supervise.Spec) bool { return !s.Payload }
				case Finishing:
					x.guard.onFinish = hold
				}
			}, held)
			if p > Starting {
				x.in(Serving)
			}
			switch p {
			case Stopping, Saving:
				x.signal(syscall.SIGTERM)
			case Losing:
				x.lock.expire()
			case Killing, Draining, Finishing:
				x.guard.events <- supervise.Event{Kind: supervise.Exited, ID: payloadID, Status: 1 << 8}
			}
			x.in(p)
			x.guard.die()
			select {
			case <-x.ended:
			case <-time.After(patience):
				t.Fatalf("the run did not end: phase %s, calls %v", x.r.Status().Phase, x.guard.calls)
			}
			if !x.guard.noted("take over") {
				t.Error("nobody took over from the dead guard")
			}
		})
	}
}

// A guard that was silent gives its answer while it is being taken over from: the take-over's own proof
// decides, and the run ends.
func TestLateProofDuringATakeOver(t *testing.T) {
	x := begin(t, func(_ *Plan, x *run) {
		x.guard.onKill = func() bool { return true }
		x.guard.taken = make(chan struct{})
		x.guard.proof = supervise.Proof{How: "no domain"}
	})
	x.in(Serving)
	x.guard.events <- supervise.Event{Kind: supervise.Exited, ID: payloadID}
	x.until("take-over", func() bool { return x.guard.noted("take over") })
	x.guard.events <- supervise.Event{Kind: supervise.Empty, Tenure: 100}
	x.until("Empty heard", func() bool { return len(x.guard.events) == 0 })
	turns := x.r.Status().Turned
	x.until("another turn", func() bool { return x.r.Status().Turned.Later(turns) })
	close(x.guard.taken)
	x.ends(0)
	if r, ok := x.lock.released(); ok {
		t.Errorf("released as %s though nothing was proven", r.Phase)
	}
}
