// Package clock reads the two clocks that leases are counted on and compares stamps of them.
//
// Promise: a step of the wall clock, NTP slewing of one of the two clocks, or a suspend never makes a
// holder count too little time or a successor too much. Non-promise: a virtual machine whose clocks
// both stop is not seen. Called by lock, supervise and internal/lifecycle.
package clock

import (
	"time"

	"github.com/interlock-run/interlock/internal/mutate"
	"golang.org/x/sys/unix"
)

// Rho bounds the rate error between two machines' clocks (0.2 %), assumption A2.
const Rho = 0.002

// A Stamp is one reading of both clocks, each as the time since that clock's own zero. Stamps are
// comparable only within one boot of one machine.
type Stamp struct {
	Boot time.Duration // CLOCK_BOOTTIME: goes on in suspend, is slewed by NTP
	Raw  time.Duration // CLOCK_MONOTONIC_RAW: never slewed, stops in suspend
}

// Add moves a stamp by d on both clocks.
func (s Stamp) Add(d time.Duration) Stamp { return Stamp{s.Boot + d, s.Raw + d} }

// IsZero tells an unset stamp.
func (s Stamp) IsZero() bool { return s == Stamp{} }

// HolderSince is the time that a holder must assume to have passed since then: the larger of the two.
func (s Stamp) HolderSince(then Stamp) time.Duration {
	if mutate.Broken("holder-counts-smaller") { // section 2: a holder's time is the larger
		return min(s.Boot-then.Boot, s.Raw-then.Raw)
	}
	return max(s.Boot-then.Boot, s.Raw-then.Raw)
}

// SuccessorSince is the time that a successor may assume to have passed since then: the smaller.
func (s Stamp) SuccessorSince(then Stamp) time.Duration {
	if mutate.Broken("successor-counts-larger") { // section 2: a successor's time is the smaller
		return max(s.Boot-then.Boot, s.Raw-then.Raw)
	}
	return min(s.Boot-then.Boot, s.Raw-then.Raw)
}

// Reached tells a holder that the deadline has come: on either clock.
func (s Stamp) Reached(deadline Stamp) bool {
	if mutate.Broken("holder-counts-smaller") { // section 2: a holder's time is the larger
		return s.Boot >= deadline.Boot && s.Raw >= deadline.Raw
	}
	return s.Boot >= deadline.Boot || s.Raw >= deadline.Raw
}

// Later tells whether s is later than other on both clocks, the only order that may extend a deadline.
func (s Stamp) Later(other Stamp) bool { return s.Boot > other.Boot && s.Raw > other.Raw }

// A Source is where stamps come from: Now, or a test's own.
type Source func() Stamp

// Now reads the machine's two clocks. The calls cannot fail on Linux with these clock ids; should they,
// the panic is the guard's and the agent's kill path, because a lease without a clock is no lease.
func Now() Stamp {
	return bend(Stamp{Boot: read(unix.CLOCK_BOOTTIME), Raw: read(unix.CLOCK_MONOTONIC_RAW)})
}

func read(id int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		panic("clock_gettime: " + err.Error())
	}
	return time.Duration(ts.Nano())
}
