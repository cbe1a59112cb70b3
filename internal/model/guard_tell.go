package model

import "fmt"

func (m *pairs) tell(before pair, t step, after pair) string {
	b := before.child.state
	switch t.act {
	case gTick, gWatch:
		return tellTime(before, after)
	case gHear:
		return tellHeard(before, after)
	case gFollow:
		return "the guard takes " + before.orders[0].String() + tellFollowed(before, after)
	case gKillGuard:
		if m.first {
			return "the agent cannot kill the guard, which is PID 1"
		}
		return "the agent kills the guard and sees it dead"
	case gGo:
		if after.child.state == none {
			return "the guard reads the clock again after the fork, and ends the gated child"
		}
		return "the guard gives the gated child its go"
	case gBecome:
		if after.child.state == none {
			return "the gate reads the clock: too late, it ends"
		}
		return "the gate becomes the command: a process works on the data"
	case gEndDomain:
		if b != none {
			return "the guard kills what is in the domain"
		}
		return "the guard sees the domain empty" + said(before, after)
	}
	return plainly[t.act]
}

// plainly is what needs no detail.
var plainly = map[uint8]string{
	gBeat: "the agent's heartbeat is acknowledged; it sends the guard the new kill time", gStart: "the agent sends a start",
	gKill: "the agent sends a kill", gFinish: "the agent asks for the last word (finish)",
	gRelease: "the agent releases the lock", gAgain: "the agent queues again and is granted a second tenure",
	gTakeOver: "the agent takes the guard for stopped and takes over", gSweep: "the agent kills what is in the domain and sees it empty", gOrphaned: "the guard sees that the agent is gone: it kills, and starts nothing more",
	gChildEnds: "the process ends by itself", gStopGuard: "the guard is stopped", gContGuard: "the guard goes on",
	gKilledGuard: "the guard is killed", gStopAgent: "the agent is stopped", gContAgent: "the agent goes on", gKilledAgent: "the agent is killed",
}

func (o order) String() string {
	name := [...]string{"nothing", "the lease", "the start", "the kill", "the finish"}[o.kind]
	return fmt.Sprintf("%s of tenure %d", name, o.tenure)
}

func tellTime(before, after pair) string {
	switch {
	case !before.guard.passed && after.guard.passed:
		return "the guard sees that its kill time has passed: it kills"
	case before.agent.lease > 0 && after.agent.lease == 0:
		return "time passes; D has come: a successor may start"
	case !before.agent.lost && after.agent.lost:
		return "time passes; the kill time has come"
	case before.guard.kill > 0 && after.guard.kill == 0:
		return "time passes; the kill time that the guard knows of has come"
	}
	return ""
}

func tellFollowed(before, after pair) string {
	begun := ""
	if !before.guard.killing && after.guard.killing {
		begun = ", and begins to kill"
	}
	switch before.orders[0].kind {
	case startOrder:
		if before.child.state == none && after.child.state == gated {
			return " and forks a gated child"
		}
		return " and refuses"
	case leaseOrder:
		if after.guard.kill > before.guard.kill || after.guard.tenure > before.guard.tenure {
			return " and goes by it" + begun
		}
		return " and refuses" + begun
	}
	return begun + said(before, after)
}

func said(before, after pair) string {
	for i := range after.events {
		if before.events[i].word == silence && after.events[i].word != silence {
			return fmt.Sprintf(" and says `%s` of tenure %d", [...]string{"", "empty", "dead"}[after.events[i].word], after.events[i].tenure)
		}
	}
	return ""
}

func tellHeard(before, after pair) string {
	e := before.events[0]
	line := fmt.Sprintf("the agent hears `%s` of tenure %d", [...]string{"", "empty", "dead"}[e.word], e.tenure)
	switch {
	case before.agent.held && !after.agent.held:
		return line + " and releases the lock"
	case before.agent.phase == after.agent.phase:
		return line + ", which is nothing to it now"
	}
	return line
}

func (m *pairs) ends(s pair) string {
	lock := "held"
	if !s.agent.held {
		lock = "released"
	}
	if s.child.state == works {
		return fmt.Sprintf("at the end a process of tenure %d works; the lock of tenure %d is %s, %d ticks to D", s.child.tenure, s.agent.tenure, lock, s.agent.lease)
	}
	return "at the end nothing works"
}
