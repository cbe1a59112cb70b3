package model

// loseKey: the key of x goes, at any time: an operator, or a server whose timer may be early or late.
func loseKey(s *lease, x int) { s.who[x].key = false }

// removeRecord: an operator removes the record.
func (m *leases) removeRecord(s *lease) {
	newVersion(s, false)
	if m.restarts {
		formerVersions(s)
	}
	s.rec = record{}
	s.removed = m.init
	if s.removals != always {
		s.removals--
	}
}

// formerVersions: the new record will count from the start, so that any number may come again.
func formerVersions(s *lease) {
	for x := range s.who {
		c := &s.who[x]
		outlive(&c.known)
		if c.try.state == sent {
			outlive(&c.try.after)
		}
		for i := range c.late {
			if c.late[i].on {
				outlive(&c.late[i].after)
			}
		}
	}
}

func outlive(r *ref) {
	if *r == stale {
		*r = former
	}
}

// In the scene of `lock init` (section 6) B is that command, and C joins after it.
const initiator = 1

// join puts a key into the queue. `lock init` waits for nobody: held or queued for ends it (75).
func (m *leases) join(s *lease, x int) {
	c := &s.who[x]
	c.key, c.stage = true, queued
	if m.isInit(x) {
		c.stage = granted
		if !s.first(x) {
			c.key, c.stage = false, over
		}
	}
}

func (m *leases) isInit(x int) bool { return m.init && x == initiator }

// initRead is `lock init` with the lock in hand: it goes on only where there is no record.
func (m *leases) initRead(s *lease, x int) {
	c := &s.who[x]
	c.known = absent
	if s.rec.there {
		c.known = present
		if m.dropped != initAbsent {
			c.key, c.stage = false, over
			return
		}
	}
	m.send(s, x, drained) // in the transaction that deletes its own key
}

// initUnlocked is an init that relies on the record's absence alone.
func (m *leases) initUnlocked(s *lease, x int) {
	s.who[x].stage = over
	m.put(s, x, request{phase: drained})
}

// beyondA7 tells whether an init just wrote over a record that was removed together with the lock key of a
// holder whose payload may live. Nothing is promised then, and `lock init` says so.
func (m *leases) beyondA7(s *lease, x int) bool {
	return m.init && s.removed && s.rec.there && s.rec.token == token(initiator) &&
		x == initiator && !s.who[0].key && (s.who[0].run.state == alive || s.who[0].run.effects > 0)
}
