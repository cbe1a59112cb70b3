package config

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// clockRates is the factor 1+2rho by which a successor stretches what it owes; a test in cmd/interlock
// compares it with the one that package lock computes with.
const clockRates = 1.004

// A Need is how long something may take in the worst case that the configuration bounds.
type Need struct {
	Total time.Duration
	Parts []Part // in the order in which they come; none is zero
}

// A Part is one summand, named as its flag where there is one.
type Part struct {
	Name string
	Time time.Duration
}

// How shows the sum.
func (n Need) How() string {
	texts := make([]string, len(n.Parts))
	for i, p := range n.Parts {
		texts[i] = fmt.Sprintf("%s %s", p.Name, durationText(p.Time))
	}
	return strings.Join(texts, " + ")
}

func need(parts ...Part) Need {
	var n Need
	for _, p := range parts {
		if p.Time > 0 {
			n.Total += p.Time
			n.Parts = append(n.Parts, p)
		}
	}
	return n
}

// StopNeed is from the order to stop until our end. What no budget ends is not in it: a task in
// uninterruptible sleep, a sync that hangs.
func (c Config) StopNeed() Need {
	t := c.Timing
	parts := []Part{
		c.Hooks.PreStop.part("pre_stop hook"), {"stop-grace", c.Stop.Grace},
		{"grace", t.Grace}, // the lease may be lost during the stop
		{"kill-budget", t.KillBudget}, c.Backup.part(),
		c.Hooks.PostStop.part("post_stop hook"),
	}
	if c.Backup.OnStop { // a backup that hangs is killed
		parts = append(parts, Part{"kill-budget after the backup", t.KillBudget})
	}
	if c.Backup.OnStop || len(c.Hooks.PostStop.Exec) > 0 {
		parts = append(parts, Part{"kill-budget after it", t.KillBudget})
	}
	return need(append(parts, Part{"budgets-drain", c.Budgets.Drain}, c.Device.endPart(), Part{"release", c.tries()})...)
}

// StartNeed is from the start until the payload serves, after a crash of the holder before, which may have had
// the longest hold of the fleet: before an upgrade, or on another node. Waiting behind a holder that lives has
// no bound and is not in it.
func (c Config) StartNeed() Need {
	parts := []Part{{"lock", c.tries()}, {"expiry of a dead holder's key", c.expiry()}, {"hold-max and settle", stretched(c.longestHold() + c.Timing.Settle)}}
	if c.Data != "" || len(c.Mounts) > 0 {
		parts = append(parts, Part{"budgets-mount, twice", 2 * c.Budgets.Mount})
	}
	parts = append(parts, c.Device.part())
	if c.Data != "" || c.StateDir != "" {
		parts = append(parts, Part{"budgets-claim", c.Budgets.Claim})
	}
	if c.Store.URL != "" {
		parts = append(parts, Part{"budgets-claim of the store", c.Budgets.Claim})
	}
	if c.Restore.Wanted() {
		parts = append(parts, Part{"restore-timeout", c.Restore.Timeout})
	}
	return need(append(parts, c.Hooks.PreStart.part("pre_start hook"), c.Warm.part())...)
}

func (h Hook) part(name string) Part {
	if len(h.Exec) == 0 {
		return Part{Name: name}
	}
	return Part{name, h.Timeout}
}

// tries bounds one word with the lock service.
func (c Config) tries() time.Duration { return time.Duration(c.Timing.Tries) * c.Timing.TryTimeout }

// largestHold is hold_max where it is not set by hand; a test in cmd/interlock compares it with package lock's.
const largestHold = time.Minute

// longestHold is the longest that a record may tell us to wait; one that demands more is refused.
func (c Config) longestHold() time.Duration {
	if c.Timing.HoldMax > 0 {
		return c.Timing.HoldMax
	}
	return max(largestHold, c.Timing.Hold)
}

// expiry is when the service deletes the key of a holder that crashed: it was asked for its hold in whole
// seconds. A lock file is free at once.
func (c Config) expiry() time.Duration {
	if strings.HasPrefix(c.Lock.URL, "file:") {
		return 0
	}
	return time.Duration(math.Ceil(c.longestHold().Seconds())) * time.Second
}

func stretched(d time.Duration) time.Duration {
	return time.Duration(math.Ceil(float64(d)*clockRates/1e6)) * time.Millisecond
}
