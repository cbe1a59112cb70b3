package model

// A lease is the state of one lock: the record and the keys at the service, the contenders A, B and C, and
// what is under way between them. Small numbers only: time is relative, and what is past caring about is
// set to a fixed value (tidy), so that the states are finitely many though time is not bounded.
type lease struct {
	rec      record
	who      [contenders]contender
	begun    uint8 // the highest token with which a payload began
	removals uint8 // how often the record may still be removed; always
	removed  bool  // it was, in the scene of lock init
	outside  bool  // beyond assumption A7: nothing is promised from here on
}

const contenders = 3

// always is a number of removals that does not run out.
const always = 255

// A record is the persistent state record (section 1). The token of contender x is x+1; 0 is a holder
// before all of them.
type record struct {
	there  bool
	token  uint8
	phase  phase
	wait   uint8 // wait_ms, in units
	settle uint8 // settle_ms, in units
	owes   uint8 // a bit for each token, and unknown
	seq    uint8 // counts only where the rule storeVersion is dropped
}

type phase uint8

const (
	waiting phase = iota
	running
	dead
	drained
)

// unknown in `owes`: no record was found, it could be anybody.
const unknown uint8 = 1 << 7

func bit(token uint8) uint8 { return 1 << token }

// A contender is one tenure: one key, one token, at most one payload.
type contender struct {
	key    bool // at the service
	stage  stage
	known  ref   // the version of the record as it knows it
	seen   uint8 // ticks since it first saw the record's present version (T2); notSeen
	asked  uint8 // ticks since it asked for it; counts only where stampAfterReply is dropped
	left   uint8 // of its hold-off, in units of its own clock
	settle uint8 // the largest settle that it counted
	owes   uint8 // whom it took over from and is not proven dead and drained (T4)
	need   uint8 // whom a fence must still cover (T6)
	lease  uint8 // ticks since the stamp that D counts from; noLease
	seq    uint8
	parted phase // what its release says
	run    payload
	try    try                   // the one that it waits for
	late   [lateRequests]request // those that it gave up waiting for, and that may still arrive
}

const lateRequests = 2

// notSeen and noLease are the values of a counter that does not run.
const (
	notSeen uint8 = 255
	noLease uint8 = 255
)

// A stage is how far a tenure has come.
type stage uint8

const (
	away    stage = iota // has not joined (lock init's scene)
	queued               // its key waits in the queue
	granted              // its key was seen to be the first
	holding              // has read the record (T1), is in its hold-off
	ready                // the hold-off is over: writes `running`
	leased               // a `running` write was acknowledged
	parting              // its release was sent: its last word (E3)
	over                 // can write and start nothing any more; its payload may live until D
)

// A payload, and what it leaves behind.
type payload struct {
	state   life
	effects uint8 // ticks for which writes of the dead payload may still arrive (A5)
}

type life uint8

const (
	unborn life = iota
	alive
	ended
)

// A ref is what a version number in somebody's hand is worth. Versions never return, so it is enough to
// know whether it is the record's present one. Absence is no version and does return.
type ref uint8

const (
	stale ref = iota
	present
	absent
	former // of a record that was removed, where version numbers do return (ZooKeeper)
)

// A request is one transaction of W1: write the record if the own key is there and the record at a version.
type request struct {
	on     bool
	phase  phase
	after  ref
	wait   uint8
	settle uint8
	owes   uint8
	seq    uint8
}

// A try is a request whose reply is waited for.
type try struct {
	request
	state   progress
	age     uint8 // ticks since its stamp
	result  result
	version ref // that the reply tells
}

type progress uint8

const (
	idle progress = iota
	sent
	answered // executed by the service; the reply is on its way
)

type result uint8

const (
	noResult result = iota
	committed
	keyGone
	movedOwn   // the record is at another version, with own content
	movedOther // with content of another tenure
	missing    // there is no record
)
