package lifecycle

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/supervise"
)

// A scriptedGuard stands for the guard process where an order of events is needed that the real one gives
// only by chance. By default it does what it is told at once.
type scriptedGuard struct {
	events chan supervise.Event
	// Each may be set by a test before the run; true means that it was dealt with.
	onLease  func(supervise.Lease) bool
	onStart  func(supervise.Spec) bool
	onSignal func(id uint32, sig syscall.Signal) bool
	onKill   func() bool
	onFinish func() bool
	proof    supervise.Proof
	taken    chan struct{} // TakeOver waits for it, if set

	mu    sync.Mutex
	calls []string
	once  sync.Once
}

func newScriptedGuard() *scriptedGuard {
	return &scriptedGuard{events: make(chan supervise.Event, 1000), proof: supervise.Proof{Proven: true, How: "test"}}
}

func (g *scriptedGuard) note(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, fmt.Sprintf(format, args...))
}

func (g *scriptedGuard) noted(call string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Contains(g.calls, call)
}

func (g *scriptedGuard) count(prefix string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, c := range g.calls {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

// die closes the guard's end, as its death does.
func (g *scriptedGuard) die() { g.once.Do(func() { close(g.events) }) }

func (g *scriptedGuard) Events() <-chan supervise.Event { return g.events }

func (g *scriptedGuard) Prepare(supervise.Settings) error {
	g.events <- supervise.Event{Kind: supervise.Ready, Domain: supervise.Domain{Mode: "pidns", PIDNamespace: 1}}
	return nil
}

func (g *scriptedGuard) Lease(l supervise.Lease) error {
	g.note("lease")
	if g.onLease == nil || !g.onLease(l) {
		g.events <- supervise.Event{Kind: supervise.Leased, Tenure: l.Tenure, Kill: l.Kill}
	}
	return nil
}

func (g *scriptedGuard) Start(s supervise.Spec) error {
	g.note("start %s", what(s))
	switch {
	case g.onStart != nil && g.onStart(s):
	case s.Payload:
		g.events <- supervise.Event{Kind: supervise.Started, ID: s.ID, PID: 4711}
	default:
		g.events <- supervise.Event{Kind: supervise.Exited, ID: s.ID}
	}
	return nil
}

func what(s supervise.Spec) string {
	switch {
	case s.Payload:
		return "payload"
	case s.Worker:
		return "worker"
	}
	return s.Argv[0]
}

func (g *scriptedGuard) Signal(id uint32, sig syscall.Signal) error {
	g.note("signal %d %d", id, int(sig))
	if g.onSignal == nil || !g.onSignal(id, sig) {
		g.events <- supervise.Event{Kind: supervise.Exited, ID: id, Status: syscall.WaitStatus(sig)}
	}
	return nil
}

func (g *scriptedGuard) KillOne(id uint32) error { g.note("kill one"); return nil }

func (g *scriptedGuard) Kill(tenure uint64) error {
	g.note("kill")
	if g.onKill == nil || !g.onKill() {
		g.events <- supervise.Event{Kind: supervise.Empty, Tenure: tenure}
	}
	return nil
}

func (g *scriptedGuard) Finish(tenure uint64) error {
	g.note("finish")
	if g.onFinish == nil || !g.onFinish() {
		g.events <- supervise.Event{Kind: supervise.Dead, Tenure: tenure}
	}
	return nil
}

func (g *scriptedGuard) Keep(*os.File) error { return nil }

func (g *scriptedGuard) TakeOver(ctx context.Context, _ []string) (supervise.Proof, error) {
	g.note("take over")
	if g.taken != nil {
		select {
		case <-g.taken:
		case <-ctx.Done():
		}
	}
	return g.proof, nil
}

// A scriptedLock is a lock service in memory with one contender.
type scriptedLock struct {
	mu      sync.Mutex
	stored  lock.Stored
	version int64
	held    bool // by somebody else: nobody is granted
	silent  bool // no write is answered
	writes  []lock.Record
	ended   []lock.Record // by a release
	left    int
	gone    chan struct{}
	once    sync.Once
}

func newScriptedLock(t testing.TB, r lock.Record) *scriptedLock {
	t.Helper()
	r.V = 1
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return &scriptedLock{stored: lock.Stored{Data: data, Version: lock.Version{CAS: 1, Seen: 1}}, version: 1, gone: make(chan struct{})}
}

func (s *scriptedLock) Join(context.Context) (lock.Place, error) { return s, nil }
func (s *scriptedLock) View(context.Context) (lock.View, error)  { return lock.View{}, nil }
func (s *scriptedLock) Diagnose(context.Context) []lock.Diagnosis {
	return nil
}
func (s *scriptedLock) Close() error { return nil }

func (s *scriptedLock) Await(ctx context.Context, _ func(lock.Version, clock.Stamp)) error {
	if !s.held {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}
func (s *scriptedLock) Ahead() lock.Waiter { return lock.Waiter{} }
func (s *scriptedLock) RawToken() int64    { return 100 }
func (s *scriptedLock) Read(context.Context) (lock.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored, nil
}
func (s *scriptedLock) Write(ctx context.Context, data []byte, after lock.Version) (lock.Result, error) {
	return s.write(ctx, data, after, false)
}
func (s *scriptedLock) Release(ctx context.Context, data []byte, after lock.Version) (lock.Result, error) {
	return s.write(ctx, data, after, true)
}

func (s *scriptedLock) write(ctx context.Context, data []byte, after lock.Version, release bool) (lock.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return lock.Result{}, ctx.Err()
	}
	if isClosed(s.gone) {
		return lock.Result{Outcome: lock.KeyGone}, nil
	}
	if after != s.stored.Version {
		return lock.Result{Outcome: lock.Moved, Current: s.stored}, nil
	}
	s.version++
	s.stored = lock.Stored{Data: data, Version: lock.Version{CAS: s.version, Seen: s.version}}
	r, err := lock.DecodeRecord(data, timing())
	if err != nil {
		return lock.Result{}, err
	}
	s.writes = append(s.writes, r)
	if release {
		s.ended = append(s.ended, r)
		s.once.Do(func() { close(s.gone) })
	}
	return lock.Result{Outcome: lock.Committed, Version: s.stored.Version}, nil
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (s *scriptedLock) Leave(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left++
	s.once.Do(func() { close(s.gone) })
	return nil
}
func (s *scriptedLock) KeepAlive(context.Context) error { return nil }
func (s *scriptedLock) Gone() <-chan struct{}           { return s.gone }
func (s *scriptedLock) Pulse()                          {}

// expire takes the key away from outside.
func (s *scriptedLock) expire() { s.once.Do(func() { close(s.gone) }) }

func (s *scriptedLock) silence(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = on
}

// released gives the record of the release; false if there was none.
func (s *scriptedLock) released() (lock.Record, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ended) == 0 {
		return lock.Record{}, false
	}
	return s.ended[0], true
}

func timing() lock.Timing {
	return lock.Timing{
		Hold: 2 * time.Second, Heartbeat: 50 * time.Millisecond, TryTimeout: 150 * time.Millisecond, Tries: 2,
		Grace: 200 * time.Millisecond, KillBudget: 200 * time.Millisecond, Margin: 50 * time.Millisecond, HoldMax: time.Minute,
	}
}

// A run is one Runner under test.
type run struct {
	*testing.T
	r     *Runner
	guard *scriptedGuard
	lock  *scriptedLock
	ended chan Verdict
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
	go func() { x.ended <- x.r.Run() }()
	return x
}

const patience = 3 * time.Second

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
			p.Hooks.PreStart = Hook{Exec: []string{"hook"}, Timeout: time.Minute}
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
	for _, p := range []Phase{HoldingOff, Starting, Serving, Stopping, Losing, Killing, Draining, Finishing} {
		t.Run(p.String(), func(t *testing.T) {
			x := begin(t, func(pl *Plan, x *run) {
				hold := func() bool { return true }
				switch p {
				case HoldingOff:
					x.lock = newScriptedLock(t, lock.Record{Phase: lock.Running, Token: 1, WaitMS: 30000})
				case Starting:
					pl.Hooks.PreStart = Hook{Exec: []string{"hook"}, Timeout: time.Minute}
					x.guard.onStart = func(s supervise.Spec) bool { return !s.Payload }
				case Stopping, Losing:
					pl.Stop.Grace, pl.Stop.LossGrace = time.Minute, time.Minute
					x.guard.onSignal = func(uint32, syscall.Signal) bool { return true }
				case Killing:
					x.guard.onKill = hold
				case Draining:
					pl.Hooks.PostStop = Hook{Exec: []string{"hook"}, Timeout: time.Minute}
					x.guard.onStart = func(s supervise.Spec) bool { return !s.Payload }
				case Finishing:
					x.guard.onFinish = hold
				}
			})
			if p > Starting {
				x.in(Serving)
			}
			switch p {
			case Stopping:
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

// E1: whatever the loss was, nothing moves the guard's deadline after it.
func TestNothingExtendsAfterALoss(t *testing.T) {
	x := begin(t, func(p *Plan, x *run) {
		p.Stop.LossGrace = 700 * time.Millisecond
		x.guard.onSignal = func(uint32, syscall.Signal) bool { return true }
	})
	x.in(Serving)
	x.r.post(message{event: LeaseLost, code: 76, reason: "fenced off"})
	x.in(Losing)
	n := x.guard.count("lease")
	x.in(Finished)
	if got := x.guard.count("lease"); got != n {
		t.Errorf("the deadline was extended %d times after the loss", got-n)
	}
	x.ends(76)
}

// The guard refuses to start because the lease has run out: that is a lost lease, whatever was to start.
func TestRefusedStartIsALostLease(t *testing.T) {
	refuse := func(x *run) {
		x.guard.onStart = func(s supervise.Spec) bool {
			x.guard.events <- supervise.Event{Kind: supervise.StartFailed, ID: s.ID, Stage: supervise.StageRefused, Text: "lease is lost"}
			return true
		}
	}
	t.Run("hook", func(t *testing.T) {
		begin(t, func(p *Plan, x *run) {
			p.Hooks.PreStart = Hook{Exec: []string{"hook"}, Timeout: time.Minute}
			refuse(x)
		}).ends(76)
	})
	t.Run("claim", func(t *testing.T) {
		begin(t, func(p *Plan, x *run) {
			p.State = t.TempDir()
			refuse(x)
		}).ends(76)
	})
	t.Run("payload", func(t *testing.T) { begin(t, func(_ *Plan, x *run) { refuse(x) }).ends(76) })
}

// A hook that does not die holds up nothing beyond its time: the run goes on to kill and says what is stuck.
func TestHookThatDoesNotDie(t *testing.T) {
	t.Run("pre_stop", func(t *testing.T) {
		x := begin(t, func(p *Plan, x *run) {
			p.Hooks.PreStop = Hook{Exec: []string{"hook"}, Timeout: 50 * time.Millisecond}
			x.guard.onStart = func(s supervise.Spec) bool { return !s.Payload }
		})
		x.in(Serving)
		x.signal(syscall.SIGTERM)
		x.ends(143)
		if !x.guard.noted("kill one") {
			t.Error("the hook was not killed")
		}
	})
	t.Run("pre_start", func(t *testing.T) {
		x := begin(t, func(p *Plan, x *run) {
			p.Hooks.PreStart = Hook{Exec: []string{"hook"}, Timeout: 50 * time.Millisecond}
			x.guard.onStart = func(s supervise.Spec) bool { return !s.Payload }
		})
		x.ends(73)
	})
	t.Run("worker", func(t *testing.T) {
		var kept []int
		t.Cleanup(func() {
			for _, fd := range kept {
				_ = syscall.Close(fd)
			}
		})
		x := begin(t, func(p *Plan, x *run) {
			p.State, p.Budgets.Claim = t.TempDir(), 50*time.Millisecond
			x.guard.onStart = func(s supervise.Spec) bool { // it holds its end of the pipe
				if s.Worker && s.Stdout != nil {
					if fd, err := syscall.Dup(int(s.Stdout.Fd())); err == nil {
						kept = append(kept, fd)
					}
				}
				return true
			}
		})
		x.ends(72)
	})
}

// The domain on record must be withdrawn before workers start in a later one; a lock that takes no writes
// must not hold up the end for ever.
func TestStopWhileTheLockTakesNoWrites(t *testing.T) {
	file := func(p *Plan, x *run) {
		p.Lock.Options.ProvenEmpty = func(string, lock.Domain) (bool, string) { return false, "test" }
	}
	t.Run("holding off", func(t *testing.T) {
		x := begin(t, func(p *Plan, x *run) {
			file(p, x)
			x.lock = newScriptedLock(t, lock.Record{Phase: lock.Running, Token: 1, WaitMS: 30000})
		})
		x.in(HoldingOff)
		x.lock.silence(true)
		x.signal(syscall.SIGTERM)
		x.ends(143)
	})
	t.Run("mounting", func(t *testing.T) {
		x := begin(t, func(p *Plan, x *run) { file(p, x) })
		x.in(Serving)
		x.lock.silence(true)
		x.guard.events <- supervise.Event{Kind: supervise.Exited, ID: payloadID}
		x.ends(0)
	})
}

// A second namespace that nobody asked for: the one on record must not speak for what starts in it.
func TestANewNamespaceIsNotTheOneOnRecord(t *testing.T) {
	x := begin(t, nil)
	x.in(Serving)
	x.guard.events <- supervise.Event{Kind: supervise.Ready, Domain: supervise.Domain{Mode: "pidns", PIDNamespace: 2}}
	x.until("a record without the first namespace", func() bool {
		x.lock.mu.Lock()
		defer x.lock.mu.Unlock()
		d := x.lock.writes[len(x.lock.writes)-1].Domain
		return d == nil || d.PIDNS != 1
	})
	x.signal(syscall.SIGTERM)
	x.ends(143)
}

// A tenure beats only while the loop turns: the loop must turn more often than that, whatever the budgets.
func TestTheLoopTurnsOftenEnough(t *testing.T) {
	tm := timing()
	tm.Heartbeat, tm.TryTimeout, tm.KillBudget = 50*time.Millisecond, 50*time.Millisecond, 5*time.Second
	r := &Runner{plan: Plan{Lock: LockPlan{Options: lock.Options{Timing: tm}}}}
	if got := r.tickPeriod(); got > (tm.Heartbeat+tm.TryTimeout)/2 {
		t.Errorf("turns every %v: a tenure waits for %v at most", got, tm.Heartbeat+tm.TryTimeout)
	}
}

// The lease is lost in each phase after the grant: 76, and the lock is not taken again.
func TestLossInEachPhase(t *testing.T) {
	for _, p := range []Phase{HoldingOff, Starting, Launching, Serving, Stopping} {
		t.Run(p.String(), func(t *testing.T) {
			x := begin(t, func(pl *Plan, x *run) {
				switch p {
				case HoldingOff:
					x.lock = newScriptedLock(t, lock.Record{Phase: lock.Running, Token: 1, WaitMS: 30000})
				case Starting:
					pl.Hooks.PreStart = Hook{Exec: []string{"hook"}, Timeout: time.Minute}
					x.guard.onStart = func(s supervise.Spec) bool { return !s.Payload }
				case Launching:
					x.guard.onStart = func(supervise.Spec) bool { return true }
				case Stopping:
					pl.Stop.Grace = time.Minute
					x.guard.onSignal = func(uint32, syscall.Signal) bool { return true }
				}
			})
			if p == Stopping {
				x.in(Serving)
				x.signal(syscall.SIGTERM)
			}
			x.in(p)
			x.lock.expire()
			x.ends(76)
			if r, ok := x.lock.released(); ok {
				t.Errorf("a record %s was written after the key was gone", r.Phase)
			}
			if !x.guard.noted("finish") {
				t.Error("the guard's last word was not waited for")
			}
		})
	}
}

// The tenure is not ended, and nothing is released, while the guard has not said the last word.
func TestNoReleaseBeforeTheLastWord(t *testing.T) {
	x := begin(t, func(_ *Plan, x *run) { x.guard.onFinish = func() bool { return true } })
	x.in(Serving)
	x.signal(syscall.SIGTERM)
	x.in(Finishing)
	x.lock.mu.Lock()
	n := len(x.lock.writes)
	x.lock.mu.Unlock()
	x.until("heartbeats while finishing", func() bool {
		x.lock.mu.Lock()
		defer x.lock.mu.Unlock()
		return len(x.lock.writes) > n+1
	})
	if _, ok := x.lock.released(); ok {
		t.Error("released before the guard's last word")
	}
	x.guard.events <- supervise.Event{Kind: supervise.Dead}
	x.ends(143)
	x.releasedAs(lock.Drained)
}

// The lock is granted but takes no writes: nothing starts, the key is given up, 69.
func TestLockThatTakesNoWrites(t *testing.T) {
	x := begin(t, func(_ *Plan, x *run) { x.lock.silent = true })
	x.ends(69)
	if x.lock.left == 0 || x.guard.count("start") > 0 {
		t.Errorf("key deleted %d times, calls %v", x.lock.left, x.guard.calls)
	}
}

// After a loss our own write probes end with the kill, not with the proof, which may take for ever: a
// successor may run by then.
func TestProbesEndWithALostLease(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("while killing %v", late), func(t *testing.T) {
			x := begin(t, func(_ *Plan, x *run) { x.guard.onKill = func() bool { return true } })
			x.in(Serving)
			watch := x.r.seen.mounts
			if late {
				x.guard.events <- supervise.Event{Kind: supervise.Exited, ID: payloadID}
				x.in(Killing)
			}
			x.lock.expire()
			x.in(Killing)
			x.until("the end of the probes", func() bool {
				x.guard.events <- supervise.Event{Kind: supervise.Stuck, PIDs: []int{1}} // not silent
				select {
				case _, open := <-watch.Findings():
					return !open
				default:
					return false
				}
			})
			x.guard.events <- supervise.Event{Kind: supervise.Empty}
			<-x.ended
		})
	}
}
