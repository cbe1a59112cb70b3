package model

// What the guard does. It may be stopped between any two steps; the clock comes first in each (watch).

// watch: the guard looks at the clock. Past the kill time it kills, and nothing extends that.
func (m *pairs) watch(g *guardian) {
	if m.dropped == guardKeepsTime || !g.armed || g.kill > 0 || g.passed {
		return
	}
	g.passed, g.killing = true, true
	if g.owes == silence {
		g.owes = sayEmpty
	}
}

// follow takes the next order.
func (m *pairs) follow(s *pair) {
	o := s.orders[0]
	copy(s.orders[:], s.orders[1:])
	s.orders[orderRoom-1] = order{}
	g := &s.guard
	m.watch(g)
	switch o.kind {
	case leaseOrder:
		m.accept(g, o)
	case startOrder:
		if !m.refuses(g, o.tenure) && s.child.state == none {
			s.child = child{state: gated, tenure: o.tenure, worker: o.worker}
		}
	case killOrder:
		if m.mine(g, o.tenure) {
			g.killing, g.owes = true, max(g.owes, sayEmpty)
		}
	case finishOrder:
		if m.mine(g, o.tenure) {
			g.tenure, g.finished, g.killing, g.owes = o.tenure, true, true, sayDead
			m.hasty(s)
		}
	}
}

// hasty is a guard that says `dead` before it is so.
func (m *pairs) hasty(s *pair) {
	if m.dropped == deadIsProven {
		s.say(event{sayDead, s.guard.tenure})
	}
}

func (m *pairs) mine(g *guardian, tenure uint8) bool {
	return g.tenure == 0 || tenure == g.tenure || m.dropped == tenureInMessages
}

// accept arms or extends: only a later deadline, before the present one has passed, of the same tenure; in
// a run that has several, of the next one after the last word of the one before.
func (m *pairs) accept(g *guardian, o order) {
	next := o.tenure > g.tenure && (!g.finished || m.twice && !g.killing) && (g.tenure == 0 || g.finished)
	late := g.passed && m.dropped != lateLeaseRefused
	switch {
	case o.kill == 0: // had run out before it arrived
	case next:
		*g = guardian{life: g.life, tenure: o.tenure, armed: true, kill: o.kill}
	case o.tenure == g.tenure && !g.finished && !late && o.kill > g.kill:
		g.kill, g.passed = o.kill, false
	}
}

// refuses tells whether nothing of that tenure may start now.
func (m *pairs) refuses(g *guardian, tenure uint8) bool {
	switch {
	case g.finished && m.dropped != deadIsFinal:
		return true
	case !g.armed && m.dropped == armedFirst:
		return false
	}
	return !g.armed || !m.mine(g, tenure) || g.kill == 0 && m.dropped != guardKeepsTime
}

// letGo is the go for a gated child, with the time until which it holds. The guard looks once more whether
// it may start: it may have been stopped since the fork.
func (m *pairs) letGo(s *pair) {
	g := &s.guard
	m.watch(g)
	if m.dropped != gateAtAll && m.refuses(g, s.child.tenure) {
		s.child = child{}
		return
	}
	s.child.state, s.child.until = going, g.kill
	if !g.armed { // only where armedFirst is dropped: there is no time to name
		s.child.until = deadline
	}
}

// become is the gate's last step.
func (m *pairs) become(s *pair) {
	if s.child.until == 0 && m.dropped != gateReadsClock && m.dropped != gateAtAll {
		s.child = child{}
		return
	}
	s.child.state, s.child.until = works, 0
}

// endDomain kills, and says what it owes once the domain is proven empty.
func (m *pairs) endDomain(s *pair) {
	if s.child.state != none {
		s.child = child{}
		return
	}
	g := &s.guard
	if g.owes != silence {
		s.say(event{g.owes, g.tenure})
	}
	g.killing, g.owes = false, silence
}

func (s *pair) say(e event) {
	for i := range s.events {
		if s.events[i].word == silence {
			s.events[i] = e
			return
		}
	}
}

// orphaned: the agent is gone, its end of the socket is closed: kill, and start nothing.
func (m *pairs) orphaned(s *pair) {
	s.orders = [orderRoom]order{}
	s.guard.killing, s.guard.finished = true, true
}
