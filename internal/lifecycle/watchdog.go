package lifecycle

import (
	"fmt"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/exit"
)

// A Watchdog resets the machine unless it is petted: fence/watchdog's Timer. Only the deciding loop calls it,
// so that it also fires for a loop that hangs.
type Watchdog interface {
	Arm(now, deadline clock.Stamp) error
	Armed() bool
	Pet(now, deadline clock.Stamp) (bool, error)
	Disarm() error
}

// watched has every turn of the loop pet the watchdog, before it tells anybody else.
func (r *Runner) watched() {
	dog, told := r.plan.Lock.Watchdog, r.seen.observe
	if dog == nil {
		return
	}
	starved := false
	r.seen.observe = func(p Phase, s Status) {
		r.pet(dog, p, &starved)
		if told != nil {
			told(p, s)
		}
	}
}

// arm starts the watchdog with the first lease, and never again: one that comes late finds it let go. A run that
// asked for one and cannot have it ends before anything that could write was started.
func (r *Runner) arm() {
	dog := r.plan.Lock.Watchdog
	if dog == nil {
		return
	}
	if err := dog.Arm(r.clock(), r.hold.lease.Deadline); err != nil {
		r.decide(exit.Config, fmt.Sprintf("cannot arm the watchdog: %v", err))
		r.fire(Stop, "the watchdog cannot be armed") // at once: the lease's own event comes next, and starts
		return
	}
	r.log.Info("the watchdog is armed")
}

// pet keeps the machine up while the lease covers it. It is let go at the release alone: everything is proven
// dead then. Whatever else ends the run leaves it armed.
func (r *Runner) pet(dog Watchdog, p Phase, starved *bool) {
	if !dog.Armed() {
		return
	}
	if p == Releasing {
		if err := dog.Disarm(); err != nil {
			r.log.Error("the watchdog was not disarmed: it may reset this machine", "cause", err)
		}
		return
	}
	petted, err := dog.Pet(r.clock(), r.hold.lease.Deadline)
	if err != nil {
		r.log.Error("the watchdog was not petted", "cause", err)
	}
	if !petted && !*starved {
		r.log.Error("the lease is too short for the watchdog: it resets this machine unless heartbeats come back, or all ends before")
	}
	*starved = !petted
}
