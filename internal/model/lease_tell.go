package model

import "fmt"

var contenderNames = [contenders]string{"A", "B", "C"}

var phaseWords = [...]string{"waiting", "running", "dead", "drained"}

// tell is one line of a story.
func (m *leases) tell(before lease, t step, after lease) string {
	x := int(t.who)
	name, c, n := m.name(x), before.who[x], after.who[x]
	switch t.act {
	case aTick:
		return m.tellTick(before, after)
	case aLook:
		return fmt.Sprintf("%s sees the record's version in the queue and stamps it %s", name, ago(n.seen))
	case anAsk:
		return name + " asks for the record's version"
	case aGrant:
		return name + " is granted the lock"
	case aRead:
		return m.tellRead(before, after, x)
	case aReadBehind:
		return name + " reads from a member that lags: the `drained` record from before A; nothing is owed"
	case aSendWaiting, aSendRunning, aReleaseDead, aReleaseDrained:
		return m.tellSend(before, after, x)
	case anArrival:
		return fmt.Sprintf("%s's `%s` write arrives: %s%s", name, phaseWords[c.try.phase], arrived(c, n), keyWent(c, n))
	case aLateArrival:
		return fmt.Sprintf("a late `%s` write of %s arrives: %s%s", phaseWords[c.late[t.arg].phase], name, m.landed(before, after), keyWent(c, n))
	case aLateLoss:
		return fmt.Sprintf("a late `%s` write of %s is lost", phaseWords[c.late[t.arg].phase], name)
	case aReply:
		return m.tellReply(before, after, x)
	case aGiveUp:
		return m.tellGiveUp(c, n, name)
	case aBegin:
		return fmt.Sprintf("%s's payload begins, with token %d", name, token(x))
	case aDeath:
		return name + "'s payload ends"
	case aFence:
		return fmt.Sprintf("%s fences the node of %s: confirmed off%s", name, m.name(int(t.arg)), waitEnds(c, n))
	}
	return m.tellOperator(t, after)
}

func (m *leases) tellOperator(t step, after lease) string {
	name := m.name(int(t.who))
	switch t.act {
	case aKeyLoss:
		return name + "'s lock key goes (removed by hand, or expired at the server)"
	case aRemoval:
		return "the record is removed by hand"
	case aJoin:
		if after.who[t.who].stage == over {
			return name + " finds the lock held or queued for (75)"
		}
		return name + " puts its key into the queue"
	case anInitRead:
		if after.who[t.who].stage == over {
			return name + " reads a record and leaves it as it is"
		}
		return name + " sends `drained`, deleting its own key"
	case anUnlockedInit:
		return name + " finds no record and creates one, `drained`, without the lock"
	}
	return "unknown step"
}

func (m *leases) name(x int) string {
	if m.isInit(x) {
		return "`lock init`"
	}
	return contenderNames[x]
}

func ago(ticks uint8) string {
	if ticks == 0 {
		return "now"
	}
	return fmt.Sprintf("%d ticks ago, when it asked", ticks)
}

// in tells units as ticks of a right clock.
func in(units uint8) string { return fmt.Sprintf("%.3g", float64(units)/right) }

func keyWent(before, after contender) string {
	if before.key && !after.key {
		return ", and its key goes with it"
	}
	return ""
}

func waitEnds(before, after contender) string {
	if before.stage == holding && after.stage != holding {
		return "; its hold-off is over"
	}
	return ""
}

// tellTick says what the passing of time brought about.
func (m *leases) tellTick(before, after lease) string {
	line := ""
	for x := range before.who {
		b, a := before.who[x], after.who[x]
		if b.run.state == alive && a.run.state == ended {
			line += "; " + m.name(x) + "'s payload is killed, its D has come"
		}
		if b.stage == holding && a.stage == ready {
			line += "; " + m.name(x) + "'s hold-off is over"
		}
	}
	if line == "" {
		return ""
	}
	return "time passes" + line
}

func (m *leases) tellRead(before, after lease, x int) string {
	r, name, n := before.rec, m.name(x), after.who[x]
	switch {
	case n.stage == over && r.there && r.token > token(x):
		return fmt.Sprintf("%s reads a record with token %d, higher than its own, and refuses", name, r.token)
	case n.left > 0:
		return fmt.Sprintf("%s reads %s and has %s ticks to wait", name, r, in(n.left))
	}
	return fmt.Sprintf("%s reads %s and has nothing to wait for", name, r)
}

func (r record) String() string {
	if !r.there {
		return "no record"
	}
	return fmt.Sprintf("the record (`%s` by token %d, wait %s)", phaseWords[r.phase], r.token, in(r.wait))
}

func (m *leases) tellSend(before, after lease, x int) string {
	t := after.who[x].try
	if t.state == idle { // tidied: its key is gone
		return m.name(x) + " sends a write that can only be refused"
	}
	says := ""
	if t.phase == waiting {
		says = fmt.Sprintf(" with %s ticks left", in(t.wait))
	}
	if t.phase == dead || t.phase == drained {
		says = ", deleting its own key: its release"
	}
	if t.after == absent {
		says += " (creating the record)"
	}
	return fmt.Sprintf("%s sends `%s`%s", m.name(x), phaseWords[t.phase], says)
}

// arrived is the outcome; one that nobody can hear any more was tidied away.
func arrived(before, after contender) string {
	switch {
	case after.try.state == answered:
		return outcome(after.try.result)
	case before.key && !after.key:
		return outcome(committed)
	}
	return outcome(keyGone)
}

func outcome(r result) string {
	switch r {
	case committed:
		return "committed"
	case keyGone:
		return "refused, the key is gone"
	case movedOwn:
		return "refused, the record is at another version with own content"
	case movedOther:
		return "refused, the record is another tenure's"
	case missing:
		return "refused, there is no record"
	}
	return "no answer"
}

func (m *leases) landed(before, after lease) string {
	if before.rec == after.rec {
		return "no change is seen"
	}
	return "committed, " + after.rec.String()
}

func (m *leases) tellReply(before, after lease, x int) string {
	c, n := before.who[x], after.who[x]
	line := m.name(x) + " hears: " + outcome(c.try.result)
	switch {
	case n.stage == over && c.stage == parting:
		return line + "; it has left"
	case n.stage == over:
		return line + "; LOST"
	case n.stage == leased && n.lease != noLease && (c.stage != leased || c.lease != n.lease):
		return line + fmt.Sprintf("; its D counts from %d ticks ago", n.lease)
	}
	return line
}

func (m *leases) tellGiveUp(c, n contender, name string) string {
	if c.try.state == answered {
		return fmt.Sprintf("the reply to %s's `%s` write is lost", name, phaseWords[c.try.phase])
	}
	if c.late == n.late {
		return fmt.Sprintf("%s's `%s` write is lost", name, phaseWords[c.try.phase])
	}
	return fmt.Sprintf("%s gives up waiting for the reply to its `%s` write, which is late", name, phaseWords[c.try.phase])
}

// ends says who lives in the last state of a story.
func (m *leases) ends(s lease) string {
	line := ""
	for x := range s.who {
		c := s.who[x]
		switch {
		case c.run.state == alive:
			line += fmt.Sprintf(" %s's payload is alive (token %d);", m.name(x), token(x))
		case c.run.effects > 0:
			line += fmt.Sprintf(" writes of %s's dead payload may still arrive (token %d);", m.name(x), token(x))
		}
	}
	if line == "" {
		return "at the end nobody is alive"
	}
	return "at the end" + line[:len(line)-1]
}
