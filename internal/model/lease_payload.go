package model

// mayBegin is T5 and E3: a payload begins under an acknowledged `running` whose D has not come, once.
func (m *leases) mayBegin(s *lease, x int) bool {
	c := &s.who[x]
	switch {
	case m.barren && x == 1:
		return false
	case m.dropped == ackBeforeStart && c.stage == ready && c.try.state != idle && c.try.phase == running:
		return c.run.state == unborn && !m.expired(x, c.try.age)
	case m.dropped == releaseIsFinal && c.stage == parting:
		return c.run.state != alive && c.lease != noLease && !m.expired(x, c.lease)
	}
	return c.stage == leased && c.run.state == unborn && !m.expired(x, c.lease)
}

func (m *leases) begin(s *lease, x int) {
	c := &s.who[x]
	if c.lease == noLease {
		c.lease = c.try.age
	}
	c.run = payload{state: alive}
	s.begun = max(s.begun, token(x))
}

// die is the end of the payload, by itself or killed. Writes that it had under way may arrive for as long
// as its storage takes to settle.
func (m *leases) die(c *contender, x int) {
	c.run = payload{state: ended, effects: m.effects[x]}
}

// mayRelease is E2 for `dead` and `drained`: only who took over nobody undrained says the latter.
func (m *leases) mayRelease(s *lease, x int, p phase) bool {
	c := &s.who[x]
	if c.try.state != idle || m.barren && x == 1 {
		return false
	}
	if m.dropped == drainedAfterWait && c.stage == holding {
		return true
	}
	if c.stage != leased || c.run.state == alive && m.dropped != deathBeforeRelease {
		return false
	}
	return p == dead || c.run.effects == 0 && c.owes == 0
}

// broken is the promise: what must not be the case in any state.
func (m *leases) broken(s lease) string {
	for x := range s.who {
		if s.who[x].run.state != alive {
			continue
		}
		for y := range s.who {
			b := s.who[y].run
			if y != x && b.state == alive {
				return "two payloads overlap"
			}
			if y != x && b.effects > 0 && m.settle[x]+m.settle[y] > 0 { // settle is promised where it is configured
				return "a payload is alive while writes of a dead one may arrive"
			}
		}
		if token(x) < s.begun {
			return "a payload began after one with a higher token"
		}
		if m.expired(x, s.who[x].lease) {
			return "a payload is alive after its D"
		}
	}
	return ""
}
