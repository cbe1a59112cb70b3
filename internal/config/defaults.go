package config

import "time"

// DefaultReasonFile is where Kubernetes looks for the reason of an exit. It is the default only where it
// exists: a writer opens it without creating it.
const DefaultReasonFile = "/dev/termination-log"

// DefaultFailAfter is how long a mount's probe may fail before the mount counts as lost, for mounts that
// say nothing else.
const DefaultFailAfter = 6 * time.Second

// DefaultRecoverAfter is how long a named mount must answer well before a finding is over.
const DefaultRecoverAfter = 6 * time.Second

// Limits that keep arithmetic on accepted values far from overflow.
const (
	maxDuration = 365 * 24 * time.Hour
	maxTries    = 100
	maxKeep     = 100_000 // as many as a catalog lists
	maxRate     = 1_000_000_000
	maxWeight   = 10_000
)

// MaxTokenEpoch is the largest lock.token_epoch: eight bits above the lock service's own number.
const MaxTokenEpoch = 255

// Defaults is the configuration of a run that was told nothing. Values that depend on the machine
// (holder, fence.node) are empty here; Load fills them in.
func Defaults() Config {
	return Config{
		Lock:    Lock{Wait: "forever"},
		Timing:  defaultTiming(),
		Fence:   Fence{Timeout: 30 * time.Second},
		Process: Process{Isolate: "auto", Stop: Stop{Signal: "TERM", Grace: 25 * time.Second}, End: End{OnStuck: "wait", RebootAfter: 5 * time.Minute, OnUndrained: "hold"}},
		Storage: Storage{Device: defaultDevice(), Probe: Probe{Period: 2 * time.Second, Timeout: 5 * time.Second}},
		Snapshots: Snapshots{
			Restore: Restore{From: "exec", When: "empty", OnEmpty: "stop", Diverged: "stop", At: "latest", Timeout: 2 * time.Hour},
			Backup:  Backup{Timeout: 6 * time.Hour},
			Warm:    Warm{From: "latest", Keep: 2, Listing: "auto", Order: HottestFirst, Budget: WarmBudget{Time: 10 * time.Minute}, Ready: WhenWarm, IfCold: "ready"},
		},
		Hooks:   defaultHooks(30 * time.Second),
		Health:  Health{ReasonFile: DefaultReasonFile},
		Log:     Log{Level: "info"},
		Budgets: Budgets{Mount: 30 * time.Second, Claim: 30 * time.Second, Drain: 10 * time.Second},
	}
}

// defaultTiming is the set of defaults of docs/protocol.md section 2; a test in cmd/interlock compares it
// with the one that package lock computes with.
func defaultTiming() Timing {
	return Timing{
		Hold: 20 * time.Second, Heartbeat: 2 * time.Second, TryTimeout: 2 * time.Second, Tries: 3,
		Grace: 5 * time.Second, KillBudget: time.Second, Margin: 250 * time.Millisecond,
	}
}

func defaultHooks(timeout time.Duration) Hooks {
	h := Hook{Timeout: timeout}
	return Hooks{PreStart: h, PostStart: h, PreStop: h, PostStop: h}
}
