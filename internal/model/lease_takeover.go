package model

// look is T2: the record's version is seen in the queue. A watcher's content is never used. The stamp is
// taken after the reply; that the service executes a read some time before its reply arrives could only
// make the stamp later, so both are one step here.
func (m *leases) look(s *lease, x int) {
	c := &s.who[x]
	c.seen = 0
	if m.dropped == stampAfterReply {
		c.seen, c.asked = c.asked, notSeen
	}
}

// grant: the service says that the own key is the first.
func (m *leases) grant(s *lease, x int) { s.who[x].stage = granted }

// read is T1: the record, once, before the first own write.
func (m *leases) read(s *lease, x int) {
	c, r := &s.who[x], s.rec
	if r.there && r.token > token(x) { // token order comes before any write: refuse, delete the own key
		c.stage, c.key = over, false
		return
	}
	owed, settle, owes := m.inherit(r, x)
	elapsed := uint8(0)
	c.known = absent
	if r.there {
		c.known = present
		if c.seen != notSeen {
			elapsed = c.seen
		}
	}
	c.stage, c.left, c.settle, c.owes = holding, m.remains(owed, elapsed), settle, owes
	c.need = m.mustFence(r, owes)
	m.endOfWait(c)
}

// inherit is T3 and T4: what is owed, the largest settle in it, and whom.
func (m *leases) inherit(r record, x int) (owed, settle, owes uint8) {
	settle = max(m.settle[x], r.settle)
	if m.dropped == settleCounts {
		settle = m.settle[x]
	}
	switch {
	case m.dropped == holdOff:
		return 0, settle, r.owes | bit(r.token)
	case !r.there && m.dropped == absentOwes:
		return 0, m.settle[x], 0
	case !r.there && m.dropped == holdMaxByHand:
		return m.scaled(m.hold[x] + m.settle[x]), m.settle[x], unknown
	case !r.there: // absence is no version: it counts from the read alone
		return m.scaled(m.holdMax + m.settle[x]), m.settle[x], unknown
	case r.token == token(x) && m.dropped == readBeforeWrite:
		return 0, settle, 0
	case r.token == token(x): // another write path
		return m.scaled(max(r.wait, m.hold[x]) + settle), settle, r.owes | bit(r.token)
	case r.phase == drained:
		return 0, m.settle[x], 0
	case r.phase == dead:
		return m.scaled(settle), settle, r.owes | bit(r.token)
	case r.phase == waiting: // it holds the factor already
		excess := max(r.settle, m.settle[x]) - r.settle
		if m.dropped != settleScaled {
			excess = m.scaled(excess)
		}
		return r.wait + excess, settle, r.owes
	case m.dropped == holdOfRecord:
		return m.scaled(m.hold[x] + settle), settle, r.owes | bit(r.token)
	}
	return m.scaled(r.wait + settle), settle, r.owes | bit(r.token)
}

// readBehind is a read that is not linearizable: a member that lags shows what was there before A ran.
func (m *leases) readBehind(s *lease, x int) {
	c := &s.who[x]
	c.stage, c.known = holding, stale
	m.endOfWait(c)
}

// mustFence is whom T6 wants covered: every entry of owes and the record's writer.
func (m *leases) mustFence(r record, owes uint8) uint8 {
	need := owes
	if r.there && r.phase != drained && r.token > 0 {
		need |= bit(r.token)
	}
	switch {
	case m.dropped == fenceCoversOwes:
		return need & bit(r.token)
	case m.dropped == fenceCoversWriter:
		return need &^ bit(r.token)
	}
	return need
}

// fence is a confirmed `off` of the whole node of y, begun after the grant (T6). A failed one skips
// nothing and is no step. What the node had sent may still arrive.
func (m *leases) fence(s *lease, x, y int) {
	n := &s.who[y]
	m.giveUp(s, y)
	n.run = payload{state: ended}
	n.stage = over
	c := &s.who[x]
	c.need &^= bit(token(y))
	m.fenced(c)
}

func (m *leases) fenced(c *contender) {
	need := c.need
	if m.dropped == unknownUnsafe {
		need &^= unknown
	}
	if need == 0 {
		c.left, c.owes = 0, 0
		m.endOfWait(c)
	}
}

// mayFence: whom it makes sense to fence; never itself, and nobody where `unknown` is owed.
func (m *leases) mayFence(s *lease, x, y int) bool {
	c := &s.who[x]
	if !m.fences {
		return false
	}
	if m.dropped == fenceCoversWriter && c.need == 0 { // any fence seems to do
		return x != y && c.stage == holding
	}
	if x == y || c.stage != holding || c.need&unknown != 0 && m.dropped != unknownUnsafe {
		return false
	}
	return c.need&bit(token(y)) != 0
}

// endOfWait is T5: the hold-off has passed, or T6 has ended it. Nobody is owed any more (T4), but for those
// whose late writes nobody waited for (E7).
func (m *leases) endOfWait(c *contender) {
	if c.stage != holding || c.left > 0 {
		return
	}
	if c.owes &^= unknown; c.settle > 0 || m.dropped == undrainedStays {
		c.owes = 0
	}
	c.stage, c.need, c.settle = ready, 0, 0
}
