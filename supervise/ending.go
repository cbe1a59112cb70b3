package supervise

import (
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ending is how far the killing has come, and what the agent is still owed.
type ending struct {
	started     bool // something was ever started
	killing     bool
	owesEmpty   bool
	owesDead    bool
	dead        bool      // Dead was said
	since       time.Time // of the present kill
	nextStuck   time.Time
	agentGone   time.Time
	lingerUntil time.Time // after the deadline's kill: how long an agent is waited for
	hung        bool
	deaf        deaf
}

// deaf is an agent that was told to stop before its first order, and does not come to it: it may hang in
// the configuration file or a password file. Nothing was started yet, so nothing is lost by its end.
type deaf struct {
	until time.Time
	to    syscall.Signal
	over  bool
}

// hearing is how long an agent that is still starting may leave a stop unanswered.
const hearing = 2 * time.Second

// onKill is Kill (final false) and Finish. Without a domain nothing ran: that is proof enough.
func (g *guard) onKill(tenure uint64, final bool) {
	if g.lease.tenure != 0 && tenure != g.lease.tenure {
		g.refuse("kill of another tenure")
		return
	}
	g.end.owesEmpty = g.end.owesEmpty || !final
	g.end.owesDead = g.end.owesDead || final
	if final {
		g.lease.tenure, g.lease.finished = tenure, true
	}
	g.beginKill()
}

func (g *guard) beginKill() {
	if !g.end.killing {
		now := time.Now()
		g.end.killing, g.end.since, g.end.nextStuck = true, now, now.Add(g.stuckPeriod())
	}
	if g.choice.killer != nil {
		g.choice.killer.kill()
	}
}

// progress repeats the kill until the death is proven.
func (g *guard) progress() {
	g.out.flush()
	if !g.end.killing {
		return
	}
	if !g.isEmpty() {
		g.choice.killer.kill()
		g.reportStuck()
		return
	}
	g.end.killing = false
	if g.end.owesEmpty || g.lease.stage == killed && !g.end.dead {
		g.out.put(Event{Kind: Empty, Tenure: g.lease.tenure})
	}
	if g.end.owesDead {
		g.end.dead = true
		g.out.put(Event{Kind: Dead, Tenure: g.lease.tenure})
	}
	g.end.owesEmpty, g.end.owesDead = false, false
	if g.lease.stage == killed && g.end.lingerUntil.IsZero() {
		g.end.lingerUntil = time.Now().Add(g.patience())
	}
}

// pause is until the next look; what has not died within a second is looked at less often.
func (e *ending) pause(now time.Time) time.Duration {
	if e.killing && now.Sub(e.since) > time.Second {
		return 10 * tick
	}
	return tick
}

// isEmpty: the killer's proof, and every exit told.
func (g *guard) isEmpty() bool {
	return g.choice.killer == nil || len(g.children) == 0 && g.choice.killer.empty()
}

// stuckPeriod stays well below the kill budget: an agent that hears nothing for longer than that takes
// over from a guard that it must believe to be stopped.
func (g *guard) stuckPeriod() time.Duration {
	return min(time.Second, max(g.set.KillBudget/2, 2*tick))
}

func (g *guard) reportStuck() {
	if now := time.Now(); now.After(g.end.nextStuck) {
		g.end.nextStuck = now.Add(g.stuckPeriod())
		g.out.put(Event{Kind: Stuck, Tenure: g.lease.tenure, PIDs: g.choice.killer.alive()})
	}
}

// patience is how long an agent that hung across the deadline may take to come back and write that we
// are dead. It helps a successor only while it would still have to wait out the hold, which is of this
// order; after that the guard only keeps the orchestrator waiting.
func (g *guard) patience() time.Duration { return 2*(g.set.Grace+g.set.KillBudget) + 5*time.Second }

// lastWords is how long an agent whose end is closed may take to exit.
const lastWords = 2 * time.Second

// abandon is when a killed agent that does not die (uninterruptible sleep) is left behind: it will
// never run an instruction of ours again.
const abandon = 10 * time.Second

// judge decides whether this process may end, and how.
func (g *guard) judge(now time.Time) (code int, done bool) {
	if !g.end.lingerUntil.IsZero() && now.After(g.end.lingerUntil) && !g.agent.gone() {
		g.end.hung, g.agent.eof = true, true
	}
	if d := &g.end.deaf; !d.until.IsZero() && now.After(d.until) && !g.agent.gone() {
		d.over, g.agent.eof = true, true
	}
	if !g.agent.gone() {
		return 0, false
	}
	if g.end.agentGone.IsZero() {
		g.end.agentGone = now
		g.lease.finished = true
		g.beginKill()
		return 0, false
	}
	late := now.Sub(g.end.agentGone)
	if !g.agent.reaped && (g.end.hung || g.end.deaf.over || late > lastWords) {
		signalPID(g.agent.pid, unix.SIGKILL)
	}
	if g.end.killing || !g.agent.reaped && late < abandon {
		return 0, false
	}
	return g.verdict(), true
}

// verdict is the exit code: the agent's own word if it ended in order, else ours and a line why.
func (g *guard) verdict() int {
	status := g.agent.status
	switch {
	case !g.agent.reaped:
		g.explain("internal: the agent was killed and does not die; everything else is dead")
	case g.end.hung && g.end.dead:
		g.explain("internal: the run had ended but the agent did not exit")
	case g.end.hung:
		g.explain("lease lost: the agent did not come back after the kill at the deadline")
		return exitLost
	case g.end.deaf.over && !status.Exited():
		g.explain("stopped by signal " + strconv.Itoa(int(g.end.deaf.to)) + " before anything was started; the agent did not answer: a configuration or password file that cannot be read to its end?")
		return exitSignaled + int(g.end.deaf.to)
	case status.Exited() && (g.end.dead || !g.end.started):
		return status.ExitStatus()
	case status.Exited():
		g.explain("internal: the agent exited with code " + strconv.Itoa(status.ExitStatus()) + " before the end of the run; everything was killed")
	case !g.end.started && isStop(os.Signal(status.Signal())): // it went to the whole tree, before the agent could catch it
		g.explain("stopped by signal " + strconv.Itoa(int(status.Signal())) + " before anything was started")
		return exitSignaled + int(status.Signal())
	default:
		g.explain("internal: the agent was ended by signal " + strconv.Itoa(int(status.Signal())) + g.agent.memory.tell(status) + "; everything was killed")
	}
	return exitInternal
}

// crash is the end after a panic: kill, prove, 70.
func (g *guard) crash(cause any) int {
	text := "panic"
	switch v := cause.(type) {
	case error:
		text = v.Error()
	case string:
		text = v
	}
	g.lease.finished = true
	for g.choice.killer != nil && !g.choice.killer.empty() {
		g.choice.killer.kill()
		g.reapAll()
		time.Sleep(tick) // nothing reports the last one's end in every mode
	}
	if !g.agent.reaped { // else the number may be another's by now
		signalPID(g.agent.pid, unix.SIGKILL)
	}
	for _, c := range g.children {
		_ = c.gate.close() // so that its reader ends
	}
	g.explain("internal: the guard crashed (" + text + "); everything was killed")
	return exitInternal
}

// reapAll is the plain waiter of a crashed guard.
func (g *guard) reapAll() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil)
		if err != nil && err != unix.EINTR || pid == 0 {
			return
		}
		if pid == g.agent.pid {
			g.agent.reaped = true
		}
		if ns := g.choice.ns; ns != nil && ns.now != nil && pid == ns.now.pid {
			ns.now.reaped, ns.now.eof = true, true
			ns.over()
		}
	}
}

// cleanup is the last step: nothing of ours is left behind.
func (g *guard) cleanup() {
	g.dropEarly()
	if g.choice.killer != nil {
		if err := g.choice.killer.close(); err != nil {
			inTime(func() { complain("cannot remove " + g.choice.domain.Cgroup + ": " + err.Error()) })
		}
	}
	_ = g.agent.link.close() // readers end with it
	_ = g.alarm.close()
	g.agent.memory.forget()
	for _, f := range g.kept {
		_ = f.Close() // a lock that it held is released by the agent's own end, or by this
	}
}
