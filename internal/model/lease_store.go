package model

// execute is what the service does with a request of contender x (W1): in one transaction, at one moment.
func (m *leases) execute(s *lease, x int, r request) (result, ref) {
	c := &s.who[x]
	if !c.key && m.dropped != keyCondition {
		return keyGone, stale
	}
	if !m.matches(s, r) {
		return m.refuse(s, x)
	}
	m.put(s, x, r)
	if r.phase == dead || r.phase == drained {
		c.key = false // E2: in the same transaction
	}
	return committed, present
}

func (m *leases) matches(s *lease, r request) bool {
	switch {
	case m.dropped == waitByVersion && r.phase == waiting:
		return true
	case s.rec.there:
		return r.after == present || r.after == former
	}
	return r.after == absent
}

// refuse is the Else branch: it reads the record again in the same transaction (W2, W3).
func (m *leases) refuse(s *lease, x int) (result, ref) {
	switch {
	case !s.rec.there:
		return missing, absent
	case s.rec.token == token(x):
		return movedOwn, present
	}
	return movedOther, present
}

// put stores new content: a new version of the record.
func (m *leases) put(s *lease, x int, r request) {
	same := m.dropped == storeVersion && s.rec.there && s.rec.token == token(x) && s.rec.seq == r.seq
	newVersion(s, same)
	s.rec = record{there: true, token: token(x), phase: r.phase, wait: r.wait, settle: r.settle, owes: r.owes, seq: r.seq}
}

// newVersion makes what everybody holds of the present version stale. A watcher that goes by (token, seq)
// does not see the difference between two writes of the same number.
func newVersion(s *lease, unnoticed bool) {
	for x := range s.who {
		c := &s.who[x]
		outdate(&c.known)
		outdate(&c.try.after)
		outdate(&c.try.version)
		for i := range c.late {
			outdate(&c.late[i].after)
		}
		if !unnoticed {
			c.seen = notSeen
		}
	}
}

func outdate(r *ref) {
	if *r == present {
		*r = stale
	}
}

func token(x int) uint8 { return uint8(x + 1) }

// first tells whether nobody's key lies before that of x in the queue.
func (s *lease) first(x int) bool {
	for y := range x {
		if s.who[y].key {
			return false
		}
	}
	return s.who[x].key
}
