package lifecycle

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/supervise"
)

// A Runner follows the table through one run. One goroutine decides (Run); steps that wait run beside it
// and report by post; every one of them is joined before Run returns.
type Runner struct {
	plan   Plan
	guard  Guard
	clock  clock.Source
	log    *slog.Logger
	ground ground

	phase   Phase
	step    step // of the present phase
	inbox   chan message
	steps   sync.WaitGroup
	verdict *Verdict

	hold   holding
	domain domain
	seen   seen
}

// step is one phase's own work: a context that ends with the phase, and a number that tells late reports
// from earlier phases apart.
type step struct {
	ctx    context.Context
	cancel context.CancelFunc
	number int
	since  time.Time
}

// holding is the lock as the runner has it.
type holding struct {
	tenure *lock.Tenure
	lease  lock.Lease
	tenant uint64    // the tenure's number in messages to the guard: its token
	since  time.Time // by the wall clock
	lost   bool
	writes bool // something that can write was started
}

// domain is the guard's side as the runner knows it.
type domain struct {
	info     supervise.Domain
	gone     bool // guard dead or taken over
	events   <-chan supervise.Event
	goesBy   clock.Stamp // the kill time that the guard has accepted last
	askedAt  clock.Stamp // when the guard was asked to kill; zero: not waiting for an answer
	killed   bool        // the guard said that its deadline kill began
	drain    drainage
	stuck    []int
	procs    procs
	payload  payload
	takeover bool // under way
	warming  warming
	suspect  int // ticks in a row in which the guard seemed silent
}

// message is one report to the deciding loop.
type message struct {
	event  Event
	step   int // of which step; 0: of none, always heard
	code   int // verdict that goes with it, if any
	reason string
	tenure *lock.Tenure
	lease  lock.Lease
	then   func() // continues the step in the loop instead of reporting an event
}

// New makes a runner.
func New(p Plan, d Deps) *Runner {
	r := &Runner{plan: p, guard: d.Guard, clock: d.Clock, log: d.Log, inbox: make(chan message, 128), ground: realGround()}
	r.domain.events = d.Guard.Events()
	r.domain.procs.waiting = map[uint32]chan procEnd{}
	r.seen.at, r.seen.observe, r.seen.end = d.Clock(), d.Observe, (*mountcheck.Watcher).Close
	return r
}

// Run follows the table to its end and returns how it ended. It returns only when every step has ended.
func (r *Runner) Run() Verdict {
	tick := time.NewTicker(r.tickPeriod())
	defer tick.Stop()
	if err := r.prepare(); err != nil {
		return Verdict{Code: exit.Code(err), Reason: err.Error()}
	}
	if r.phase != Finished { // told to stop meanwhile
		r.enter(Looking)
		r.openMemory()
	}
	for r.phase != Finished {
		select {
		case m := <-r.inbox:
			r.handle(m)
		case e, open := <-r.domain.events:
			r.hearGuard(e, open)
		case f, open := <-r.seen.findings():
			r.hearMount(f, open)
		case <-tick.C:
			r.watchGuard()
			r.watchMemory(time.Now())
			r.watchDrain(time.Now())
			r.relieve(time.Now())
		}
		r.turn()
	}
	r.step.cancel()
	r.closeMounts()
	if r.hold.tenure != nil {
		r.hold.tenure.Abandon()
	}
	r.steps.Wait()
	r.hearLever()
	r.lastDetach()
	r.closeVolumes()
	r.lastCut()
	r.domain.payload.memory.close(r.log)
	if r.verdict == nil {
		r.decide(exit.Internal, "the run ended without a verdict")
	}
	return *r.verdict
}

// tickPeriod lets a stalled guard be noticed between the kill time and the deadline.
func (r *Runner) tickPeriod() time.Duration {
	t := r.plan.Lock.Options.Timing
	turns := max((t.Heartbeat+t.TryTimeout)/4, time.Millisecond) // a tenure beats only while the loop turns (W4)
	return min(max(t.KillBudget/10, 20*time.Millisecond), 200*time.Millisecond, turns)
}

// handle is one report: its verdict, then its cell.
func (r *Runner) handle(m message) {
	if m.step != 0 && m.step != r.step.number {
		return // of a phase that is over
	}
	if m.then != nil {
		m.then()
		return
	}
	if m.tenure != nil {
		r.adopt(m.tenure)
	}
	if m.event == Leased {
		r.extend(m.lease)
	}
	if m.event == LeaseLost {
		r.hold.lost = true
		r.endProbes()
		if r.domain.drain.device.begun { // it is cut off now, as by a loss of power
			r.overrule(m.code, m.reason+", before the device was down")
		}
	}
	if m.code != 0 || m.reason != "" {
		r.decide(m.code, m.reason)
	}
	r.fire(m.event, m.reason)
}

// fire looks up the cell and moves.
func (r *Runner) fire(e Event, why string) {
	next := table[r.phase][e]
	switch next {
	case stay:
	case never:
		r.log.Error("event that cannot happen here; ending the run", "phase", r.phase.String(), "event", e.String())
		r.decide(exit.Internal, fmt.Sprintf("defect: event %s in phase %s", e, r.phase))
		r.enter(Killing)
	default:
		r.logMove(next, e, why)
		r.enter(next)
	}
}

func (r *Runner) logMove(next Phase, e Event, why string) {
	args := []any{"from", r.phase.String(), "cause", e.String()}
	if why != "" {
		args = append(args, "why", why)
	}
	r.log.Info(next.String(), args...)
}

// enter ends the present phase's step and begins the next phase's.
func (r *Runner) enter(p Phase) {
	if r.step.cancel != nil {
		r.step.cancel()
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.phase = p
	r.step = step{ctx: ctx, cancel: cancel, number: r.step.number + 1, since: time.Now()}
	if begin := entry(p); begin != nil {
		begin(r)
	}
}

// entry is what a phase does when it begins; nil where it only waits.
func entry(p Phase) func(*Runner) {
	return [phases]func(*Runner){
		Looking: (*Runner).look, Locking: (*Runner).contend, HoldingOff: (*Runner).holdOff,
		Mounting: (*Runner).recheck, Claiming: (*Runner).claim, Restoring: (*Runner).restore,
		Starting: (*Runner).preStart, Launching: (*Runner).launch, Warming: (*Runner).warm, Serving: (*Runner).serve,
		Stopping: (*Runner).stop, Losing: (*Runner).lose, Killing: (*Runner).kill, Saving: (*Runner).save, Draining: (*Runner).drain,
		Finishing: (*Runner).finish, Releasing: (*Runner).release,
	}[p]
}

// beside runs a step's waiting part; what it returns is posted as the step's report, and heard only while
// the step is the present one.
func (r *Runner) beside(work func(ctx context.Context) message) {
	number := r.step.number
	r.besideAlways(func(ctx context.Context) message {
		m := work(ctx)
		m.step = number
		return m
	})
}

// soon is a step that has nothing to wait for: its report comes in the loop's next turn.
func (r *Runner) soon(m message) { r.beside(func(context.Context) message { return m }) }

// besideAlways is beside with a report that is heard in any phase.
func (r *Runner) besideAlways(work func(ctx context.Context) message) {
	ctx := r.step.ctx
	r.steps.Add(1)
	go func() {
		defer r.steps.Done()
		r.post(work(ctx))
	}()
}

// post hands a report to the loop. The inbox is larger than what can be outstanding; should it be full
// all the same, the sender waits for the loop, which never waits for a sender.
func (r *Runner) post(m message) { r.inbox <- m }

// after posts TimeUp for the present phase.
func (r *Runner) after(d time.Duration) {
	r.beside(func(ctx context.Context) message {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		return message{event: TimeUp}
	})
}

// decide sets the verdict. The first cause stands: what a loss or a stop makes the payload do comes later.
func (r *Runner) decide(code int, reason string) {
	if r.verdict == nil {
		r.verdict = &Verdict{Code: code, Reason: reason}
	}
}

// overrule is decide where the payload's own end, or the order to stop, is not what whoever reads the exit code has
// to know: he has to start again here, which clears what was left.
func (r *Runner) overrule(code int, reason string) {
	if v := r.verdict; v != nil {
		if !v.Payload && v.Code < exit.Signaled(1) {
			return
		}
		reason += "; before that, " + v.Reason
	}
	r.verdict = &Verdict{Code: code, Reason: reason}
}

// turn is what every turn of the loop does: prove to the tenure that decisions are made, and show the state
// to those who look from outside.
func (r *Runner) turn() {
	if r.hold.tenure != nil {
		r.hold.tenure.Pulse()
	}
	r.show()
}
