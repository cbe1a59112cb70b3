package model

// Real time goes in ticks. A clock counts units: a right one eight a tick, the slowest that assumption A2
// permits seven, the fastest nine. So rho is 1/8, large enough to show in small numbers. A holder's worst
// clocks are both as slow as permitted, a successor's both as fast: a faster holder's clock only ends the
// payload earlier, and a slower successor's only waits longer, and both may happen anyhow because every
// step can be delayed and a payload may end at any time.
const (
	right   = 8
	slowest = 7
	fastest = 9
)

// A timing is what the contenders are configured with, in units.
type timing struct {
	hold    [contenders]uint8 // H
	settle  [contenders]uint8
	holdMax uint8
	effects [contenders]uint8 // ticks for which writes of a dead payload may really arrive
}

// small is the timing of the exhaustive search: A holds longer than its successors, and only its storage
// needs to settle.
func small() timing {
	return timing{hold: [contenders]uint8{4 * right, 2 * right, 2 * right}, settle: [contenders]uint8{right, 0, 0}, holdMax: 4 * right, effects: [contenders]uint8{1, 0, 0}}
}

// plain is the same with storage that has nothing to settle.
func plain() timing {
	t := small()
	t.settle, t.effects = [contenders]uint8{}, [contenders]uint8{}
	return t
}

// usable is H(1-2rho): what a holder may use of its hold.
func (m *leases) usable(x int) uint8 {
	h := m.hold[x]
	if m.dropped == clockFactors {
		return h
	}
	return h - h/4
}

// scaled is (1+2rho) times d, rounded up.
func (m *leases) scaled(d uint8) uint8 {
	if m.dropped == clockFactors {
		return d
	}
	return d + (d+3)/4
}

// holderElapsed is max(CLOCK_BOOTTIME, CLOCK_MONOTONIC_RAW) of a holder after some ticks. Only the second
// keeps within rho; the first may be slewed to half its rate.
func (m *leases) holderElapsed(ticks uint8) uint8 {
	if m.dropped == holderMax {
		return ticks * right / 2
	}
	return ticks * slowest
}

// successorElapsed is the min of the two, for a successor; BOOTTIME may run at twice its rate.
func (m *leases) successorElapsed(ticks uint8) uint8 {
	if m.dropped == successorMin {
		return ticks * right * 2
	}
	return ticks * fastest
}

// expired tells whether D has come, that many ticks after the stamp that it counts from.
func (m *leases) expired(x int, ticks uint8) bool {
	return ticks != noLease && m.holderElapsed(ticks) >= m.usable(x)
}

// remains is what is left of a wait after some ticks.
func (m *leases) remains(owed, ticks uint8) uint8 {
	elapsed := m.successorElapsed(ticks)
	if elapsed >= owed {
		return 0
	}
	return owed - elapsed
}

// tick lets one tick of real time pass, for everybody.
func (m *leases) tick(s *lease) {
	for x := range s.who {
		c := &s.who[x]
		if c.run.effects > 0 {
			c.run.effects--
		}
		count(&c.seen, m.longest)
		count(&c.asked, m.longest)
		if c.stage == holding {
			c.left = m.remains(c.left, 1)
			m.endOfWait(c)
		}
		if c.try.state != idle {
			count(&c.try.age, m.longest)
		}
		count(&c.lease, m.longest)
		if c.run.state == alive && m.expired(x, c.lease) && m.dropped != deadByDeadline {
			m.die(c, x)
			// It died between this tick and the one before.
		}
	}
}

// count moves a counter that runs, up to where nothing depends on it any more.
func count(ticks *uint8, most uint8) {
	if *ticks < most {
		*ticks++
	}
}
