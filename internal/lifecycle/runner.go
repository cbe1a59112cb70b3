package lifecycle

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/supervise"
)

// A Runner follows the table through one run. One goroutine decides (Run); steps that wait run beside it
// and report by post, as their last act; Run returns when it has heard of every one of them.
type Runner struct {
	plan   Plan
	guard  Guard
	clock  clock.Source
	log    *slog.Logger
	ground ground

	phase   Phase
	step    step // of the present phase
	inbox   chan message
	steps   int // whose report was not heard yet
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
	loss   Verdict // that it ends the run with, if it does
	writes bool    // something that can write was started
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
	last   bool   // its step is over
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
			r.hear(m)
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
	for r.steps > 0 { // what was cut off, broken or published meanwhile is heard all the same
		r.hear(<-r.inbox)
	}
	r.lastDetach()
	r.closeVolumes()
	r.lastCut()
	r.seen.observe = nil // for those who ask; nobody else is told any more, least of all a watchdog
	r.show()
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

// hear takes one message out of the inbox.
func (r *Runner) hear(m message) {
	if m.last {
		r.steps--
	}
	r.handle(m)
}

// handle is one report: its verdict, then its cell. After the end only what a step has still to say changes anything.
func (r *Runner) handle(m message) {
	if m.step != 0 && m.step != r.step.number {
		return // of a phase that is over
	}
	if m.then != nil {
		m.then()
		return
	}
	if r.phase == Finished {
		return
	}
	if m.tenure != nil {
		r.adopt(m.tenure)
	}
	if m.event == Leased {
		r.extend(m.lease)
	}
	if m.event == LeaseLost {
		r.loseLease(m)
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

// turn is what every turn of the loop does: prove to the tenure that decisions are made, and show the state
// to those who look from outside.
func (r *Runner) turn() {
	if r.hold.tenure != nil {
		r.hold.tenure.Pulse()
	}
	r.show()
}
