package model

// leases is the lease protocol as a machine: the rules less one, and how far the world around it may go.
type leases struct {
	dropped rule
	timing
	contenders int  // how many of A, B, C there are
	removals   int  // of the record
	late       int  // requests of one contender that may be late at a time
	fences     bool // T6 is configured
	init       bool // the scene of `lock init`
	restarts   bool // ZooKeeper: a new record counts its versions from the start again
	barren     bool // B dies before it begins or releases anything
	noRecord   bool // the start is one without a record: the first run ever, or it was removed before
	untidy     bool // states that differ in nothing that matters stay apart
	longest    uint8
	expiredAt  [contenders]uint8
}

// The transitions.
const (
	aTick uint8 = iota
	aLook
	anAsk
	aGrant
	aRead
	aReadBehind
	aSendWaiting
	aSendRunning
	aReleaseDead
	aReleaseDrained
	anArrival
	aLateArrival
	aLateLoss
	aReply
	aGiveUp
	aBegin
	aDeath
	aFence
	aKeyLoss
	aRemoval
	aJoin
	anInitRead
	anUnlockedInit
)

// newLeases fills in what follows from the timing.
func newLeases(m leases) *leases {
	most := uint8(0)
	for x := range m.hold {
		most = max(most, m.hold[x]+m.settle[x], m.holdMax+m.settle[x])
	}
	for m.remains(m.scaled(most), m.longest) > 0 {
		m.longest++
	}
	for x := range m.hold {
		for !m.expired(x, m.expiredAt[x]) {
			m.expiredAt[x]++
		}
		m.longest = max(m.longest, m.expiredAt[x])
	}
	return &m
}

// start is "A runs, B and C queue".
func (m *leases) start() lease {
	s := lease{removals: uint8(m.removals), begun: token(0)}
	s.rec = record{there: true, token: token(0), phase: running, wait: m.hold[0], settle: m.settle[0]}
	for x := range s.who {
		s.who[x] = contender{seen: notSeen, asked: notSeen, lease: noLease}
		if x < m.contenders && !m.init {
			s.who[x].key, s.who[x].stage = true, queued
		}
	}
	a := &s.who[0]
	a.key, a.stage, a.known, a.lease, a.run = true, leased, present, 0, payload{state: alive}
	if m.noRecord {
		s.rec, a.known = record{}, stale
	}
	if m.dropped == storeVersion {
		a.seq = 1
	}
	m.tidy(&s)
	return s
}

// next lists every step that can be taken in s.
func (m *leases) next(s lease, out []edge[lease]) []edge[lease] {
	if s.outside {
		return out
	}
	l := &lister{m: m, from: &s, out: out}
	l.add(aTick, 0, 0, func(s *lease) { m.tick(s) })
	if s.removals > 0 && s.rec.there {
		l.add(aRemoval, 0, 0, m.removeRecord)
	}
	for x := range m.contenders {
		l.inQueue(x)
		l.ofTry(x)
		l.ofPayload(x)
		if s.who[x].key {
			l.add(aKeyLoss, x, 0, func(s *lease) { loseKey(s, x) })
		}
	}
	return l.out
}

// A lister collects the steps from one state.
type lister struct {
	m    *leases
	from *lease
	out  []edge[lease]
}

func (l *lister) add(act uint8, x, arg int, do func(*lease)) {
	l.out = append(l.out, edge[lease]{step: step{act, uint8(x), uint8(arg)}, to: *l.from})
	to := &l.out[len(l.out)-1].to
	do(to)
	to.outside = l.m.beyondA7(to, x)
	l.m.tidy(to)
}

// inQueue is what a contender does before it holds the lock, and in its hold-off.
func (l *lister) inQueue(x int) {
	m, c := l.m, &l.from.who[x]
	switch c.stage {
	case away:
		if x == initiator || l.from.who[initiator].stage != away {
			l.add(aJoin, x, 0, func(s *lease) { m.join(s, x) })
		}
		if m.isInit(x) && m.dropped == initLocked && !l.from.rec.there {
			l.add(anUnlockedInit, x, 0, func(s *lease) { m.initUnlocked(s, x) })
		}
	case queued:
		l.watch(x)
		if l.from.first(x) {
			l.add(aGrant, x, 0, func(s *lease) { m.grant(s, x) })
		}
	case granted:
		if m.isInit(x) {
			l.add(anInitRead, x, 0, func(s *lease) { m.initRead(s, x) })
			return
		}
		l.watch(x)
		l.add(aRead, x, 0, func(s *lease) { m.read(s, x) })
		if m.dropped == linearizableRead {
			l.add(aReadBehind, x, 0, func(s *lease) { m.readBehind(s, x) })
		}
	case holding:
		for y := range m.contenders {
			if m.mayFence(l.from, x, y) {
				l.add(aFence, x, y, func(s *lease) { m.fence(s, x, y) })
			}
		}
	}
}

func (l *lister) watch(x int) {
	m, c := l.m, &l.from.who[x]
	asks := m.dropped == stampAfterReply
	if asks && c.asked == notSeen {
		l.add(anAsk, x, 0, func(s *lease) { s.who[x].asked = 0 })
	}
	if l.from.rec.there && c.seen == notSeen && (!asks || c.asked != notSeen) {
		l.add(aLook, x, 0, func(s *lease) { m.look(s, x) })
	}
}

// ofTry is what becomes of writes.
func (l *lister) ofTry(x int) {
	m, c := l.m, &l.from.who[x]
	if p, act := l.beat(x); act != 0 {
		l.add(act, x, 0, func(s *lease) { m.send(s, x, p) })
	}
	for _, p := range [...]phase{dead, drained} {
		if m.mayRelease(l.from, x, p) {
			l.add(aReleaseDead+uint8(p-dead), x, 0, func(s *lease) { m.send(s, x, p) })
		}
	}
	switch c.try.state {
	case sent:
		if !m.inOrder() || !c.late[0].on {
			l.add(anArrival, x, 0, func(s *lease) { m.arrive(s, x) })
		}
		l.add(aGiveUp, x, 0, func(s *lease) { m.giveUp(s, x) })
	case answered:
		l.add(aReply, x, 0, func(s *lease) { m.hear(s, x) })
		l.add(aGiveUp, x, 0, func(s *lease) { m.giveUp(s, x) })
	}
	for i := range c.late {
		if c.late[i].on {
			l.add(aLateArrival, x, i, func(s *lease) { m.arriveLate(s, x, i) })
			if m.restarts {
				l.add(aLateLoss, x, i, func(s *lease) { s.who[x].late[i] = request{} })
			}
		}
	}
}

// beat is the phase that a heartbeat would write now; no act where there is none.
func (l *lister) beat(x int) (phase, uint8) {
	c := &l.from.who[x]
	if c.try.state != idle {
		return 0, 0
	}
	switch c.stage {
	case granted:
		if l.m.dropped == readBeforeWrite && c.seen != notSeen {
			return waiting, aSendWaiting
		}
	case holding:
		return waiting, aSendWaiting
	case ready, leased:
		return running, aSendRunning
	case parting: // ambiguous: repeat (E2)
		return c.parted, aReleaseDead + uint8(c.parted-dead)
	}
	return 0, 0
}

// ofPayload is its begin and its end by itself; what the deadline does to it is in tick.
func (l *lister) ofPayload(x int) {
	m := l.m
	if m.mayBegin(l.from, x) {
		l.add(aBegin, x, 0, func(s *lease) { m.begin(s, x) })
	}
	if l.from.who[x].run.state == alive {
		l.add(aDeath, x, 0, func(s *lease) { m.die(&s.who[x], x) })
	}
}

// inOrder: ZooKeeper executes the requests of a session in the order in which they were sent.
func (m *leases) inOrder() bool { return m.restarts && m.dropped != sessionOrder }

// odds: what the world does to a contender is rarer than what it does itself, or nobody gets far.
func (m *leases) odds(t step) int {
	switch t.act {
	case aKeyLoss, aRemoval, aFence, aLateLoss:
		return 1
	case aGiveUp, aDeath, aReleaseDead, aReleaseDrained:
		return 6
	case aTick:
		return 40
	}
	return 24
}

func (m *leases) passes(t step) bool { return t.act == aTick }
