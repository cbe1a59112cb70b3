package lock

import (
	"fmt"
	"math"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
)

// Timing is the arithmetic of a lease (protocol.md section 2). All contenders of one lock should share
// it; a successor honours what the record says all the same.
type Timing struct {
	Hold       time.Duration // H: how long a successor waits after the last word of a holder
	Heartbeat  time.Duration // R: period of heartbeats
	TryTimeout time.Duration // tau: bound of one try of a heartbeat, its re-read included
	Tries      int           // n: tries that fit before the kill, >= 2
	Grace      time.Duration // G: between TERM and KILL after a loss
	KillBudget time.Duration // K: kill and proof of death
	Margin     time.Duration // M
	Settle     time.Duration // wait after a death that was not drained
	HoldMax    time.Duration // largest hold in the fleet
	// HoldMaxSet tells that HoldMax was set by hand, so that an absent record owes it (T3).
	HoldMaxSet bool
}

// DefaultTiming is protocol.md's set of defaults.
func DefaultTiming() Timing {
	return Timing{
		Hold: 20 * time.Second, Heartbeat: 2 * time.Second, TryTimeout: 2 * time.Second, Tries: 3,
		Grace: 5 * time.Second, KillBudget: time.Second, Margin: 250 * time.Millisecond,
		HoldMax: 60 * time.Second,
	}
}

// Usable is H(1-2rho): how long a holder may go on after the send stamp of its last acknowledged
// heartbeat.
func (t Timing) Usable() time.Duration { return usable(t.Hold) }

// usable is what a holder may count on of a time that somebody else counts.
func usable(d time.Duration) time.Duration { return time.Duration(float64(d) * (1 - 2*clock.Rho)) }

// Check reports every way in which the timing cannot work, each with the numbers.
func (t Timing) Check() []error {
	var errs []error
	positive := func(name string, d time.Duration) {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("%s is %v: expected more than 0", name, d))
		}
	}
	positive("hold", t.Hold)
	positive("heartbeat", t.Heartbeat)
	positive("try-timeout", t.TryTimeout)
	positive("kill-budget", t.KillBudget)
	positive("margin", t.Margin)
	if t.Grace < 0 {
		errs = append(errs, fmt.Errorf("grace is %v: expected 0 or more", t.Grace))
	}
	if t.Settle < 0 {
		errs = append(errs, fmt.Errorf("settle is %v: expected 0 or more", t.Settle))
	}
	if t.Tries < 2 {
		errs = append(errs, fmt.Errorf("tries is %d: expected 2 or more", t.Tries))
	}
	if t.HoldMaxSet && t.Hold > t.HoldMax {
		errs = append(errs, fmt.Errorf("hold is %v but hold-max is %v: raise hold-max on every node first, or lower hold", t.Hold, t.HoldMax))
	}
	need := t.Heartbeat + time.Duration(t.Tries)*t.TryTimeout + t.Grace + t.KillBudget + t.Margin
	if len(errs) == 0 && t.Usable() < need {
		errs = append(errs, fmt.Errorf("hold %v leaves %v after clock rates, but heartbeat %v + tries %d x try-timeout %v + grace %v + kill-budget %v + margin %v = %v: raise hold or lower one of them",
			t.Hold, t.Usable(), t.Heartbeat, t.Tries, t.TryTimeout, t.Grace, t.KillBudget, t.Margin, need))
	}
	return errs
}

// ServerTimeout is what a driver asks the service for as session or lease time: H, rounded up to whole
// seconds. It is for waiting only, never proof (W4).
func (t Timing) ServerTimeout() time.Duration {
	return time.Duration(math.Ceil(t.Hold.Seconds())) * time.Second
}

// EffectiveHoldMax is the fleet's largest hold: hold_max, or the own hold if larger.
func (t Timing) EffectiveHoldMax() time.Duration { return max(t.HoldMax, t.Hold) }
