package supervise

import (
	"syscall"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/mutate"
	"golang.org/x/sys/unix"
)

// run turns the loop until the end; a panic on the way kills the domain and ends with 70.
func (g *guard) run() int {
	defer g.cleanup()
	for {
		code, done, crash := g.guardedTurn()
		if crash != nil {
			return g.crash(crash)
		}
		if done {
			return code
		}
	}
}

func (g *guard) guardedTurn() (code int, done bool, crash any) {
	defer func() { crash = recover() }()
	code, done = g.turn()
	return code, done, nil
}

// turn handles one input. The clock comes first: a guard that slept must not follow an order that
// came too late, however early it was sent.
func (g *guard) turn() (code int, done bool) {
	g.watchDeadline()
	g.progress()
	if code, done := g.judge(time.Now()); done {
		return code, true
	}
	var again <-chan time.Time
	if g.busy() {
		again = time.After(g.end.pause(time.Now()))
	}
	select {
	case m, ok := <-g.in.orders:
		g.watchDeadline()
		g.onOrder(m, ok)
	case r := <-g.in.gates:
		g.onGate(r)
	case r := <-g.in.inits:
		g.onInit(r)
	case <-g.in.child:
		g.reap()
	case s := <-g.in.signals:
		g.onSignal(s.(syscall.Signal))
	case <-g.in.alarm:
	case <-again:
		g.reap()
	case r := <-g.in.panics:
		panic(r)
	}
	return 0, false
}

// busy tells that something goes on without an event of its own: looked at again after a tick.
func (g *guard) busy() bool {
	return g.end.killing || g.agent.gone() || len(g.out.waiting) > 0 || !g.end.lingerUntil.IsZero() || !g.end.deaf.until.IsZero()
}

func (g *guard) onSignal(sig syscall.Signal) {
	if isStop(sig) {
		g.out.put(Event{Kind: SignalReceived, Signal: sig})
		if g.choice.killer == nil && g.end.deaf.until.IsZero() {
			g.end.deaf = deaf{until: time.Now().Add(hearing), to: sig}
		}
		return
	}
	g.signalPayload(sig)
}

func (g *guard) signalPayload(sig syscall.Signal) {
	for id, c := range g.children {
		if c.payload && c.started {
			g.choice.starter.signal(id, sig, false)
		}
	}
}

// watchDeadline does what the clock demands, then arms the timer for what comes next.
func (g *guard) watchDeadline() {
	if mutate.Broken("no-guard-deadline") { // section 2: the guard goes by the kill time itself
		return
	}
	now, before := clock.Now(), g.lease.stage
	after := g.lease.advance(now)
	if before == armed && after > armed {
		g.signalPayload(unix.SIGTERM)
		g.tellDeadline(StageTerm)
	}
	if before < killed && after == killed {
		g.beginKill()
		g.tellDeadline(StageKill)
	}
	if next, ok := g.lease.next(); ok {
		if err := g.alarm.set(now, next); err != nil {
			panic(err) // a deadline that cannot be armed is none: kill and exit 70
		}
	}
}

// tellDeadline: after Dead there is nothing left that it could end but the wait for the agent.
func (g *guard) tellDeadline(stage string) {
	if !g.end.dead {
		g.out.put(Event{Kind: Deadline, Tenure: g.lease.tenure, Stage: stage})
	}
}

// reapBatch bounds one go at the dead, so that ten thousand orphans do not delay the deadline.
const reapBatch = 512

// reap is the one waiter of this process.
func (g *guard) reap() {
	for range reapBatch {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG|unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid == 0 {
			return
		}
		g.onExit(pid, status)
	}
	select {
	case g.in.child <- unix.SIGCHLD: // there may be more
	default:
	}
}

func (g *guard) onExit(pid int, status unix.WaitStatus) {
	if pid == g.agent.pid {
		g.agent.reaped, g.agent.status = true, status
		return
	}
	if g.early != nil {
		g.early.reaped(pid, syscall.WaitStatus(status))
	}
	if g.choice.starter == nil {
		return
	}
	if id, ok := g.choice.starter.reaped(pid, syscall.WaitStatus(status)); ok {
		g.ended(id, syscall.WaitStatus(status), 0)
	}
	g.namespaceOver()
}
