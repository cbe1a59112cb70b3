package model

// pairs is guard and agent as a machine: the rules less one.
type pairs struct {
	dropped bond
	first   bool // the guard is PID 1 of its container: the agent cannot kill it
	twice   bool // a run may have two tenures
}

const (
	gTick uint8 = iota
	gBeat
	gStart
	gKill
	gFinish
	gHear
	gRelease
	gAgain
	gTakeOver
	gKillGuard
	gSweep
	gWatch
	gFollow
	gGo
	gBecome
	gEndDomain
	gOrphaned
	gChildEnds
	gStopGuard
	gContGuard
	gKilledGuard
	gStopAgent
	gContAgent
	gKilledAgent
)

func (m *pairs) start() pair {
	return pair{agent: minder{tenure: 1, held: true}}
}

func (m *pairs) next(s pair, out []edge[pair]) []edge[pair] {
	l := &pairLister{m: m, from: &s, out: out}
	if !m.mustAct(&s) {
		l.add(gTick, (*pair).tick)
	}
	if s.agent.life == active {
		l.ofAgent()
		l.ofTakeOver()
	}
	if s.guard.life == active {
		l.ofGuard()
	}
	l.ofChild()
	l.ofWorld()
	return l.out
}

type pairLister struct {
	m    *pairs
	from *pair
	out  []edge[pair]
}

func (l *pairLister) add(act uint8, do func(*pair)) {
	l.out = append(l.out, edge[pair]{step: step{act: act}, to: *l.from})
	do(&l.out[len(l.out)-1].to)
}

// mustAct is assumptions A3 and A4: between the kill time and D whoever runs of the two gets to act, and a
// kill fits in there. Where neither runs nothing is promised, and time stands still here.
func (m *pairs) mustAct(s *pair) bool {
	if s.child.state != works || !s.pastKill() || s.agent.lease == 0 {
		return false
	}
	guards := s.guard.life == active && m.dropped != guardKeepsTime && (s.guard.armed || m.dropped != armedFirst)
	minds := s.agent.life == active && m.dropped != agentTakesOver
	nobody := s.guard.life != active && s.agent.life != active
	return guards || minds || nobody
}

// tick lets time pass for everybody, stopped or not.
func (s *pair) tick() {
	down(&s.guard.kill)
	down(&s.child.until)
	for i := range s.orders {
		down(&s.orders[i].kill)
	}
	if down(&s.agent.lease); s.agent.lease > 0 && s.pastKill() {
		s.agent.lost = true
	}
}

func down(ticks *uint8) {
	if *ticks > 0 {
		*ticks--
	}
}

func (l *pairLister) ofAgent() {
	s, m := l.from, l.m
	a := &s.agent
	if s.mayBeat() {
		l.add(gBeat, m.beat)
	}
	leased := a.held && a.lease > deadline-killTime
	if s.room() && leased && (a.phase == minding || a.phase == quiet || a.phase == finishing) { // hooks are started beside the decisions
		l.add(gStart, func(s *pair) { s.send(order{kind: startOrder, tenure: a.tenure, worker: a.phase != minding}) })
	}
	if s.room() && a.phase == minding && a.held {
		l.add(gKill, func(s *pair) { s.send(order{kind: killOrder, tenure: a.tenure}); s.agent.phase = killing })
	}
	if s.room() && a.held && (a.phase == quiet || a.phase == finishing) { // unanswered: asked again
		l.add(gFinish, func(s *pair) { s.send(order{kind: finishOrder, tenure: a.tenure}); s.agent.phase = finishing })
	}
	if s.events[0].word != silence {
		l.add(gHear, m.hear)
	}
	if m.twice && a.phase == released && a.tenure == 1 && s.guard.life != gone {
		l.add(gAgain, m.again)
	}
}

func (l *pairLister) ofTakeOver() {
	s, m := l.from, l.m
	switch s.agent.phase {
	case minding, killing, quiet, finishing:
		if s.agent.held && m.dropped != agentTakesOver {
			l.add(gTakeOver, m.takeOver)
		}
	case taking:
		l.add(gKillGuard, m.killGuard)
	case sweeping:
		if m.maySweep(s) {
			l.add(gSweep, m.sweep)
		}
	case swept:
		l.add(gRelease, m.release)
	}
}

func (l *pairLister) ofGuard() {
	s, m := l.from, l.m
	l.add(gWatch, func(s *pair) { m.watch(&s.guard) })
	if s.orders[0].kind != noOrder && s.agent.life != gone {
		l.add(gFollow, m.follow)
	}
	if s.child.state == gated {
		l.add(gGo, m.letGo)
	}
	if s.guard.killing && s.events[eventRoom-1].word == silence {
		l.add(gEndDomain, m.endDomain)
	}
	if s.agent.life == gone && !s.guard.finished {
		l.add(gOrphaned, m.orphaned)
	}
}

func (l *pairLister) ofChild() {
	switch l.from.child.state {
	case going:
		l.add(gBecome, l.m.become)
	case works:
		l.add(gChildEnds, func(s *pair) { s.child = child{} })
	}
}

// ofWorld: anybody may be stopped, continued and killed from outside; PID 1 only stopped.
func (l *pairLister) ofWorld() {
	s := l.from
	switch s.guard.life {
	case active:
		l.add(gStopGuard, func(s *pair) { s.guard.life = stopped })
	case stopped:
		l.add(gContGuard, func(s *pair) { s.guard.life = active })
	}
	if s.guard.life != gone && !l.m.first {
		l.add(gKilledGuard, func(s *pair) { s.guard = guardian{life: gone}; s.orders = [orderRoom]order{} })
	}
	switch s.agent.life {
	case active:
		l.add(gStopAgent, func(s *pair) { s.agent.life = stopped })
	case stopped:
		l.add(gContAgent, func(s *pair) { s.agent.life = active })
	}
	if s.agent.life != gone {
		l.add(gKilledAgent, func(s *pair) { s.agent.life = gone })
	}
}

func (m *pairs) passes(t step) bool { return t.act == gTick }

func (m *pairs) odds(t step) int {
	switch t.act {
	case gStopGuard, gStopAgent, gTakeOver, gKill, gChildEnds:
		return 2
	case gKilledGuard, gKilledAgent:
		return 1
	}
	return 12
}
