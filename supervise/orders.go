package supervise

import (
	"os"

	"github.com/interlock-run/interlock/internal/clock"
	"golang.org/x/sys/unix"
)

// onOrder follows one message of the agent. A message that cannot be read is a broken agent: its end.
func (g *guard) onOrder(m packet, ok bool) {
	if !ok {
		g.agent.eof = true
		g.in.orders = nil
		return
	}
	defer m.close()
	if g.agent.gone() { // what it sent before it died must change nothing any more
		return
	}
	u := &unpacker{b: m.body}
	kind := u.num()
	if !g.follow(kind, u, &m) || u.err() != nil {
		g.refuse(errMalformed.Error())
		g.agent.eof = true
	}
}

func (g *guard) refuse(text string) { g.out.put(Event{Kind: Refused, Text: text}) }

func (g *guard) follow(kind uint64, u *unpacker, m *packet) bool {
	switch kind {
	case msgPrepare:
		g.onPrepare(u.settings())
	case msgLease:
		g.onLease(Lease{Tenure: u.num(), Kill: u.stamp()})
	case msgStart:
		s, has := u.spec()
		if u.err() != nil || !attach(&s, has, m.files, 0) {
			return false
		}
		g.onStart(s)
	case msgSignal:
		id, sig := uint32(u.num()), unix.Signal(u.int())
		if g.choice.starter != nil {
			g.choice.starter.signal(id, sig, sig == unix.SIGCONT) // a terminal's Ctrl-Z stopped the whole group
		}
	case msgKillOne:
		id := uint32(u.num())
		if g.choice.starter != nil {
			g.choice.starter.signal(id, unix.SIGKILL, true)
		}
	case msgKill:
		g.onKill(u.num(), false)
	case msgFinish:
		g.onKill(u.num(), true)
	case msgMemory:
		was := u.num()
		if u.err() != nil || len(m.files) != 1 {
			return false
		}
		g.agent.memory.follow(m.files[0], was)
		m.files = nil
	case msgKeep:
		g.kept, m.files = append(g.kept, m.files...), nil
	default:
		return false
	}
	return true
}

func (g *guard) onPrepare(s Settings) {
	g.end.deaf = deaf{}
	if g.choice.killer != nil {
		g.refuse("prepare: done already")
		return
	}
	if s.Grace < 0 || s.KillBudget < 0 {
		g.refuse("prepare: grace or kill budget is negative")
		return
	}
	g.set, g.lease.grace = s, s.Grace
	g.nursery.env = scrub(g.nursery.env, s.Scrub)
	c, err := g.choose(s.Isolate)
	if err != nil {
		g.refuse("prepare: " + err.Error())
		return
	}
	g.choice = c
	if c.ns != nil {
		c.ns.why = c.domain.Why
		err = g.announce(c.ns.describe(), c.ns.now.pidfd)
	} else {
		err = g.announce(c.domain, nil)
	}
	if err != nil {
		g.refuse("prepare: " + err.Error())
		g.agent.eof = true // an agent that cannot be told how to kill must not hold anything
	}
}

// announce must arrive before anything starts in the domain: an agent that takes over kills by it.
func (g *guard) announce(d Domain, pidfd *os.File) error {
	e := Event{Kind: Ready, Domain: d}
	if pidfd == nil {
		return g.out.now(e)
	}
	return g.out.now(e, pidfd)
}

func (g *guard) onLease(l Lease) {
	why := ""
	if g.choice.killer == nil {
		why = "lease before prepare"
	} else {
		why = g.lease.accept(l, clock.Now())
	}
	if why != "" {
		g.refuse(why)
	} else { // so that the agent knows which deadline a guard that falls silent still goes by
		g.out.put(Event{Kind: Leased, Tenure: l.Tenure, Kill: l.Kill})
	}
	g.watchDeadline()
}
