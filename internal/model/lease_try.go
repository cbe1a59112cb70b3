package model

// A try of a write goes: sent with a stamp, executed by the service, answered. The writer may give up at
// any moment; what it had sent may still be executed later, in any order (late), and a reply may be lost.
// A stalled or crashed contender is one that takes no further step.

// send is one try (W2): a new request with a new stamp. A holder stamps before it sends, and what is left
// of its wait is computed before the send too (T4).
func (m *leases) send(s *lease, x int, p phase) {
	c := &s.who[x]
	if c.stage == granted { // only where readBeforeWrite is dropped: it goes by the version that it saw
		c.known = present
	}
	r := request{on: true, phase: p, after: c.known, seq: c.seq}
	switch p {
	case waiting:
		r.wait, r.settle, r.owes = c.left, c.settle, c.owes
		if c.known == absent && m.dropped != createOwesHold {
			r.wait = max(c.left, m.scaled(m.hold[x]+c.settle))
		}
		switch m.dropped {
		case tellTheWait:
			r.wait = 0
		case waitGoesDown:
			r.wait = m.scaled(m.hold[x] + c.settle)
		}
		if m.dropped == owesCarried {
			r.owes = 0
		}
	case running:
		r.wait, r.settle, r.owes = m.hold[x], m.settle[x], c.owes
	default:
		r.settle, r.owes = m.settle[x], c.owes
		c.stage, c.parted = parting, p // E3: it is its last word
	}
	c.try = try{request: r, state: sent}
}

// arrive: the service executes the try that is under way.
func (m *leases) arrive(s *lease, x int) {
	t := s.who[x].try
	t.result, t.version = m.execute(s, x, t.request)
	t.state = answered
	s.who[x].try = t
}

// arriveLate: the service executes a try that its sender has given up.
func (m *leases) arriveLate(s *lease, x, i int) {
	r := s.who[x].late[i]
	s.who[x].late[i] = request{}
	m.execute(s, x, r)
}

// giveUp ends the wait for a reply. The request is lost, or will be late; an answer is lost.
func (m *leases) giveUp(s *lease, x int) {
	c := &s.who[x]
	if c.try.state == sent {
		for i := range m.late {
			if !c.late[i].on {
				c.late[i] = c.try.request
				break
			}
		}
	}
	c.try = try{}
}

// hear is the reply (W2, W3).
func (m *leases) hear(s *lease, x int) {
	c := &s.who[x]
	t := c.try
	c.try = try{}
	switch t.result {
	case committed:
		c.known = t.version
		m.acknowledged(c, x, t)
	case keyGone: // W3: LOST
		c.stage = over
	case movedOwn: // W2: an earlier try had landed; which one cannot be told, so it extends nothing
		c.known = t.version
		if m.dropped == ownReplyOnly {
			m.acknowledged(c, x, t)
		}
	case movedOther: // W2: LOST, never adopted
		c.stage = over
	case missing: // W3: the record was removed; write it again under the same guard
		c.known = absent
	}
}

// acknowledged extends D from this try's own stamp, unless D has come: nothing extends it then (E1).
func (m *leases) acknowledged(c *contender, x int, t try) {
	if m.dropped == storeVersion {
		c.seq = (c.seq + 1) % 4
	}
	if c.stage == parting {
		c.stage = over
		return
	}
	if t.phase != running || m.expired(x, c.lease) {
		return
	}
	c.stage = leased
	c.lease = t.age
	if m.dropped == stampBeforeSend {
		c.lease = 0
	}
}
