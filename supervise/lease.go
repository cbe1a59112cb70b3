package supervise

import (
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/mutate"
)

// stage is how far a tenure's deadline has come. It only ever grows.
type stage uint8

const (
	unarmed stage = iota
	armed
	lost   // T_term has passed: nothing extends the deadline any more
	killed // T_kill has passed
)

// tenancy is the guard's view of the lease: one tenure a run (E1), one absolute deadline.
type tenancy struct {
	tenure   uint64
	kill     clock.Stamp
	grace    time.Duration
	stage    stage
	finished bool // Finish was asked for: no start ever again (E3)
}

func (t *tenancy) term() clock.Stamp { return t.kill.Add(-t.grace) }

// accept arms or extends; the answer is why not. The clock is read now and not when the message was
// sent: a guard that was stopped must count the time that it slept.
func (t *tenancy) accept(l Lease, now clock.Stamp) string {
	switch {
	case l.Tenure == 0:
		return "lease without a tenure"
	case t.tenure != 0 && l.Tenure != t.tenure:
		return "lease of another tenure: one run has one"
	case t.finished:
		return "lease after the end of the tenure"
	case t.advance(now) > armed:
		return "lease is lost: extension came after the time of TERM"
	case t.stage == armed && !l.Kill.Later(t.kill):
		return "lease would not move the deadline later on both clocks"
	case now.Reached(l.Kill.Add(-t.grace)):
		return "lease had run out before it arrived"
	}
	t.tenure, t.kill, t.stage = l.Tenure, l.Kill, armed
	return ""
}

// advance moves the stage to what the clock says.
func (t *tenancy) advance(now clock.Stamp) stage {
	if t.stage == armed && now.Reached(t.term()) {
		t.stage = lost
	}
	if t.stage == lost && now.Reached(t.kill) {
		t.stage = killed
	}
	return t.stage
}

// until is the deadline of a process: a payload does not start once it would have to be told to stop,
// anything else (drain, hooks) may run up to the kill.
func (t *tenancy) until(payload bool) clock.Stamp {
	if payload {
		return t.term()
	}
	return t.kill
}

// refuses tells why a process of that tenure must not start now; empty if it may.
func (t *tenancy) refuses(tenure uint64, payload bool, now clock.Stamp) string {
	switch {
	case t.finished:
		return "tenure has ended"
	case t.stage == unarmed:
		return "no lease has been accepted yet"
	case tenure != t.tenure:
		return "start belongs to another tenure"
	case t.advance(now) == killed || now.Reached(t.until(payload)):
		return "lease is lost"
	}
	return ""
}

// next is the stamp that the timer must be armed for; false when there is none.
func (t *tenancy) next() (clock.Stamp, bool) {
	switch t.stage {
	case armed:
		return t.term(), true
	case lost:
		return t.kill, true
	}
	return clock.Stamp{}, false
}

// slack is the share of the time left on CLOCK_MONOTONIC_RAW that may be slept at once: BOOTTIME, which
// the timer runs on, can be slewed by up to a tenth and a bit (protocol.md section 2).
const slack = 0.88

// least keeps the last steps of re-arming from becoming a busy loop; far below the margin M.
const least = 50 * time.Microsecond

// sleep is how long to arm the timer for until the deadline; re-armed until it has been reached.
func sleep(now, deadline clock.Stamp) time.Duration {
	left := min(deadline.Boot-now.Boot, time.Duration(slack*float64(deadline.Raw-now.Raw)))
	if mutate.Broken("guard-timer-one-clock") { // section 2: BOOTTIME alone fires late where it is slewed
		left = deadline.Boot - now.Boot
	}
	return max(left, least)
}
