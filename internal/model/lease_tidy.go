package model

// tidy sets what cannot matter any more to one value, so that states which differ in nothing else are one.
// Each line says why it cannot matter; where a dropped rule makes it matter, it is left alone.
func (m *leases) tidy(s *lease) {
	if m.untidy {
		return
	}
	if s.rec.phase == drained { // it owes nothing, whatever else it says (T3)
		s.rec.wait, s.rec.settle, s.rec.owes = 0, 0, 0
	}
	for x := range m.contenders {
		c := &s.who[x]
		if !c.key && m.dropped != keyCondition {
			m.tidyKeyless(c, x)
		}
		m.tidyTry(c, x)
		m.tidyLate(c)
		m.tidyStage(c, x)
	}
}

// tidyKeyless: without its key a contender can write nothing (W1). What it can still do is to begin a
// payload before the D that it has, or hear of a write that had been acknowledged before.
func (m *leases) tidyKeyless(c *contender, x int) {
	c.late = [lateRequests]request{}
	owed := c.try.state == answered && c.try.result == committed && c.try.phase == running
	if owed || c.stage == away || m.dropped == ackBeforeStart {
		return
	}
	c.try = try{}
	c.known = stale
	begins := c.run.state == unborn && !m.expired(x, c.lease)
	switch {
	case c.stage == leased && (c.run.state == alive || begins):
	case c.stage == parting && m.dropped == releaseIsFinal:
	default:
		c.stage = over
	}
}

// tidyTry: of an answered request only the answer matters, and its age only where it may extend D.
func (m *leases) tidyTry(c *contender, x int) {
	t := &c.try
	if t.state == answered {
		t.after, t.wait, t.settle, t.owes = 0, 0, 0, 0
	}
	extends := t.state == sent || t.result == committed || t.result == movedOwn
	if !extends || t.phase != running || c.run.state == ended {
		t.age = 0
	}
	t.age = min(t.age, m.expiredAt[x])
}

// tidyLate: nobody hears the answer to a late request, so one that can never match is none. Their order
// does not matter.
func (m *leases) tidyLate(c *contender) {
	if !c.late[0].on && !c.late[1].on {
		return
	}
	for i := range c.late {
		if c.late[i].after == stale && !m.restarts && !(m.dropped == waitByVersion && c.late[i].phase == waiting) {
			c.late[i] = request{}
		}
	}
	if a, b := c.late[0], c.late[1]; b.on && (!a.on || b.less(a)) {
		c.late[0], c.late[1] = b, a
	}
	if c.late[0] == c.late[1] {
		c.late[1] = request{} // twice the same: the second cannot match after the first
	}
}

func (r request) less(o request) bool { return r.order() < o.order() }

func (r request) order() uint64 {
	n := uint64(0)
	for _, b := range [...]uint8{uint8(r.phase), uint8(r.after), r.wait, r.settle, r.owes, r.seq} {
		n = n<<8 | uint64(b)
	}
	return n
}

func (m *leases) tidyStage(c *contender, x int) {
	if c.stage != queued && c.stage != granted { // observations count until the read of T1
		c.seen, c.asked = notSeen, notSeen
	}
	if c.stage == over {
		c.known, c.left, c.settle, c.owes, c.need, c.seq, c.parted = 0, 0, 0, 0, 0, 0, 0
		c.try = try{}
	}
	if c.stage == over && c.run.state != alive || c.run.state == ended && m.dropped != releaseIsFinal {
		c.lease = noLease // nothing begins any more
	}
	if c.lease != noLease {
		c.lease = min(c.lease, m.expiredAt[x])
	}
	if c.run.state == unborn && c.stage == over { // no payload, or none any more: the same
		c.run.state = ended
	}
}
