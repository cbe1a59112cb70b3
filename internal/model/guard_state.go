package model

// A pair is the state of one run: guard, agent, one process of the kill domain, and what is under way
// between the two. The lock is what the agent has of it: held or not, and the ticks until D.
type pair struct {
	guard  guardian
	agent  minder
	child  child
	orders [orderRoom]order // from agent to guard, in order
	events [eventRoom]event // from guard to agent, in order
}

const (
	orderRoom = 3
	eventRoom = 2
)

// Times of a lease, in ticks from the stamp of an acknowledged heartbeat: D, and T_kill one K before it.
const (
	deadline = 3
	killTime = 2
)

// vigour is what became of a process of ours.
type vigour uint8

const (
	active vigour = iota
	stopped
	gone
)

// A guardian is the guard. It lives in its own time: kill counts down whether it runs or not, but it
// notices only when it takes a step.
type guardian struct {
	life     vigour
	tenure   uint8
	armed    bool
	kill     uint8 // ticks until the kill time that it goes by
	passed   bool  // it has noticed that this time has passed
	finished bool  // was asked for its last word (E3)
	killing  bool
	owes     word // what it says once the domain is proven empty
}

// A minder is the agent.
type minder struct {
	life   vigour
	phase  duty
	tenure uint8
	held   bool
	lease  uint8 // ticks until D; 0: passed, or none yet
	lost   bool  // E1: nothing extends it any more
}

// A duty is what the agent is at.
type duty uint8

const (
	minding   duty = iota // heartbeats, starts processes
	killing               // ordered a kill, waits for Empty
	quiet                 // heard that the domain is empty: drains
	finishing             // asked for the last word
	taking                // takes over: kills the guard
	sweeping              // and then the domain, until it is empty
	swept                 // proven empty: may release
	released
)

// A child is one process of the kill domain.
type child struct {
	state  course
	tenure uint8
	worker bool  // a hook or a worker of the drain, which may run after the payload
	until  uint8 // ticks until the time that its go named
}

type course uint8

const (
	none  course = iota
	gated        // forked, waits for its go
	going        // has its go, has not become the command yet
	works        // may write to the data
)

type order struct {
	kind   orderKind
	tenure uint8
	worker bool  // of a start
	kill   uint8 // of a lease: ticks until its kill time
}

type orderKind uint8

const (
	noOrder orderKind = iota
	leaseOrder
	startOrder
	killOrder
	finishOrder
)

type event struct {
	word   word
	tenure uint8
}

type word uint8

const (
	silence word = iota
	sayEmpty
	sayDead
)

// broken is the promise of design.md section 2.
func (m *pairs) broken(s pair) string {
	if s.child.state != works {
		return ""
	}
	a := s.agent
	switch {
	case s.child.tenure != a.tenure || !a.held:
		return "a process works though the lock of its tenure was released"
	case a.lease == 0:
		return "a process works after D"
	case a.phase == quiet && !s.child.worker:
		return "a payload works after the domain was said to be empty"
	}
	return ""
}
