package model

// What the agent does. It may be stopped at any time, and then takes no step.

// beat is an acknowledged heartbeat: D counts anew, and the guard is told. Not after LOST (E1).
func (m *pairs) beat(s *pair) {
	s.agent.lease = deadline
	s.send(order{kind: leaseOrder, tenure: s.agent.tenure, kill: killTime})
}

func (s *pair) mayBeat() bool {
	a := &s.agent
	return a.held && !a.lost && s.room() && a.phase != taking && a.phase != sweeping && a.phase != swept
}

// send puts an order into the socket. Orders arrive in order.
func (s *pair) send(o order) {
	for i := range s.orders {
		if s.orders[i].kind == noOrder {
			s.orders[i] = o
			return
		}
	}
}

func (s *pair) room() bool { return s.orders[orderRoom-1].kind == noOrder }

// hear takes the next event. What another tenure was told is nothing to this one.
func (m *pairs) hear(s *pair) {
	e := s.events[0]
	copy(s.events[:], s.events[1:])
	s.events[eventRoom-1] = event{}
	a := &s.agent
	if e.tenure != a.tenure && m.dropped != tenureInMessages {
		return
	}
	switch {
	case e.word == sayEmpty && (a.phase == minding || a.phase == killing):
		a.phase = quiet
	case e.word == sayDead && a.phase == finishing:
		m.release(s)
	}
}

// release is the lock given back, the last step of a tenure.
func (m *pairs) release(s *pair) {
	s.agent.held, s.agent.phase, s.agent.lost = false, released, true
}

// again queues for a second tenure in the same run. The product does not (E1); here it does, to show what
// the tenure in the messages is for.
func (m *pairs) again(s *pair) {
	s.agent.tenure++
	s.agent.held, s.agent.phase, s.agent.lost, s.agent.lease = true, minding, false, 0
}

// takeOver is begun at any time: a guard that is silent may be stopped, dead, or only slow.
func (m *pairs) takeOver(s *pair) {
	s.agent.phase = taking
	if m.dropped == guardDiesFirst {
		s.agent.phase = sweeping
	}
}

// killGuard sends SIGKILL, which works on a stopped process, but not on PID 1 from within its namespace.
func (m *pairs) killGuard(s *pair) {
	if !m.first {
		s.guard = guardian{life: gone}
		s.orders, s.events = [orderRoom]order{}, [eventRoom]event{}
	}
	s.agent.phase = sweeping
}

// sweep kills everything in the domain and sees that it is empty. A guard that could not be killed may
// fill it again for as long as its gates are open.
func (m *pairs) sweep(s *pair) {
	s.child = child{}
	s.agent.phase = swept
}

func (m *pairs) maySweep(s *pair) bool {
	return !m.first || m.dropped == firstGuardWaits || s.pastKill()
}

// pastKill: the agent's own reckoning of the kill time, by the last lease that it gave.
func (s *pair) pastKill() bool { return s.agent.lease <= deadline-killTime }
