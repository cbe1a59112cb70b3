package supervise

import (
	"os"
	"syscall"

	"github.com/interlock-run/interlock/internal/clock"
	"golang.org/x/sys/unix"
)

// A child is a process that was ordered, from before its fork until its exit is known and its gate's
// end of the socket is closed: then nothing more can be learned of it.
type child struct {
	tenure  uint64
	payload bool
	pass    pass
	pid     int // as seen from here, once the gate said hello
	gate    *conn
	shut    bool // the gate's end is closed: it has become the command, or has ended
	went    bool // the go was given
	started bool
	fail    *failure
	told    bool // the failure was told
	exit    *syscall.WaitStatus
}

// A gateReport is what came from a gate: a message, or its end.
type gateReport struct {
	id   uint32
	of   *child
	pid  int
	kind uint64
	fail failure
	end  bool
}

func (g *guard) onStart(s Spec) {
	if why := g.refusal(s); why != "" {
		g.startFailed(s.ID, s.Tenure, failure{stage: StageRefused, errno: syscall.ECANCELED, text: why})
		return
	}
	near, far, err := newPair()
	if err != nil {
		g.startFailed(s.ID, s.Tenure, failure{stage: "fork", errno: asErrno(err), text: err.Error()})
		return
	}
	defer far.Close()
	c := &child{tenure: s.Tenure, payload: s.Payload, gate: near, pass: g.passFor(s)}
	g.children[s.ID] = c
	if err := near.passCredentials(); err != nil {
		g.ended(s.ID, 0, asErrno(err))
	} else if errno := g.choice.starter.start(s, far); errno != 0 {
		g.ended(s.ID, 0, errno)
	}
	g.spawn(func() { g.readGate(s.ID, c) })
}

// refusal: no fork without the right to run (E3, E4); the gate is asked again after it.
func (g *guard) refusal(s Spec) string {
	switch {
	case g.choice.starter == nil:
		return "nothing was prepared"
	case g.end.killing:
		return "the kill domain is being killed"
	case g.children[s.ID] != nil:
		return "the id is in use"
	}
	return g.lease.refuses(s.Tenure, s.Payload, clock.Now())
}

func (g *guard) passFor(s Spec) pass {
	p := pass{parent: os.Getpid(), worker: s.Worker, pidVariable: s.PIDVariable, dir: s.Dir, credential: s.Credential}
	if g.choice.ns != nil {
		p.parent, p.ownProc = 1, s.Payload
	}
	return p
}

func (g *guard) readGate(id uint32, c *child) {
	buf := make([]byte, 256)
	for {
		m, err := c.gate.recv(buf)
		r := gateReport{id: id, of: c, pid: m.pid, end: err != nil}
		if err == nil {
			m.close()
			u := &unpacker{b: m.body}
			if r.kind = u.num(); r.kind == msgFailed {
				r.fail = failure{stage: u.str(), errno: syscall.Errno(u.num())}
			}
		}
		select {
		case g.in.gates <- r:
		case <-g.in.stop:
			return
		}
		if r.end {
			return
		}
	}
}

func (g *guard) onGate(r gateReport) {
	switch {
	case r.end:
		r.of.shut = true
	case r.kind == msgHello && !r.of.went:
		g.letGo(r.of, r.pid)
	case r.kind == msgFailed:
		r.of.fail = &r.fail
	}
	g.settle(r.id, r.of)
}

// letGo is E4: the gate is in the domain, the clock is read again after the fork, then it may go.
func (g *guard) letGo(c *child, pid int) {
	c.pid = pid
	if err := g.choice.killer.admit(pid); err != nil {
		g.turnAway(c, failure{stage: "cgroup", errno: asErrno(unwrapPath(err)), text: err.Error()})
		return
	}
	why := g.lease.refuses(c.tenure, c.payload, clock.Now())
	if g.end.killing {
		why = "the kill domain is being killed"
	}
	if why != "" {
		g.turnAway(c, failure{stage: StageRefused, errno: syscall.ECANCELED, text: why})
		return
	}
	c.pass.until = g.lease.until(c.payload)
	if full, err := c.gate.trySend(pack(msgGo).pass(c.pass)); full || err != nil {
		g.turnAway(c, failure{stage: "gate", errno: syscall.EPIPE})
		return
	}
	c.went, g.end.started = true, true
}

// turnAway closes a gate; without a go it exits.
func (g *guard) turnAway(c *child, f failure) {
	c.fail = &f
	_ = unix.Shutdown(int(c.fd()), unix.SHUT_RDWR) // the reader sees the end and closes the rest
}

func (c *child) fd() (fd uintptr) {
	_ = c.gate.raw.Control(func(raw uintptr) { fd = raw })
	return fd
}

func unwrapPath(err error) error {
	if p, ok := err.(*os.PathError); ok {
		return p.Err
	}
	return err
}

// ended notes an exit, or with an errno that there was no fork.
func (g *guard) ended(id uint32, status syscall.WaitStatus, errno syscall.Errno) {
	c := g.children[id]
	if c == nil || c.exit != nil {
		return
	}
	if errno != 0 {
		c.fail = &failure{stage: "fork", errno: errno}
	}
	c.exit = &status
	g.settle(id, c)
}

// settle tells the agent what is known for sure by now, each thing once and in order.
func (g *guard) settle(id uint32, c *child) {
	if !c.shut || g.children[id] != c {
		return
	}
	if c.fail == nil && !c.went {
		if c.exit == nil {
			return // the init may still say why there was no fork
		}
		c.fail = &failure{stage: "gate", errno: syscall.ESRCH, text: "the process ended before it could be let go"}
	}
	switch {
	case c.fail != nil && !c.told:
		c.told = true
		g.startFailed(id, c.tenure, *c.fail)
	case c.fail == nil && !c.started:
		c.started = true
		g.out.put(Event{Kind: Started, ID: id, Tenure: c.tenure, PID: c.pid})
	}
	if c.exit == nil {
		return
	}
	if c.fail == nil {
		g.out.put(Event{Kind: Exited, ID: id, Tenure: c.tenure, PID: c.pid, Status: *c.exit})
	}
	if c.payload {
		g.takeForeground()
	}
	_ = c.gate.close() // the other end is closed already
	delete(g.children, id)
}

func (g *guard) startFailed(id uint32, tenure uint64, f failure) {
	g.out.put(Event{Kind: StartFailed, ID: id, Tenure: tenure, Stage: f.stage, Errno: f.errno, Text: f.text})
}
