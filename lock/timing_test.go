package lock

import (
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
)

func TestLeaseArithmetic(t *testing.T) {
	tm := DefaultTiming()
	sent := clock.Stamp{Boot: time.Hour, Raw: 2 * time.Hour}
	l := leaseUntil(sent.Add(tm.Usable()), tm)
	for name, c := range map[string]struct {
		got  clock.Stamp
		want time.Duration
	}{ // H(1-2rho) = 19.92 s, K + M = 1.25 s, G = 5 s
		"D": {l.Deadline, 19920 * time.Millisecond}, "T_kill": {l.Kill, 18670 * time.Millisecond}, "T_term": {l.Term, 13670 * time.Millisecond},
	} {
		if c.got != sent.Add(c.want) {
			t.Errorf("%s is %v after the send: expected %v", name, c.got.HolderSince(sent), c.want)
		}
	}
}

func TestTimingCheck(t *testing.T) {
	if errs := DefaultTiming().Check(); len(errs) != 0 {
		t.Fatal(errs)
	}
	for name, change := range map[string]func(*Timing){
		"hold":        func(tm *Timing) { tm.Hold = 14 * time.Second },
		"hold-max":    func(tm *Timing) { tm.HoldMax, tm.HoldMaxSet = 10*time.Second, true },
		"tries":       func(tm *Timing) { tm.Tries = 1 },
		"try-timeout": func(tm *Timing) { tm.TryTimeout = 0 },
		"grace":       func(tm *Timing) { tm.Grace = -1 },
		"settle":      func(tm *Timing) { tm.Settle = -1 },
		"kill-budget": func(tm *Timing) { tm.KillBudget = 0 },
		"margin":      func(tm *Timing) { tm.Margin = 0 },
		"heartbeat":   func(tm *Timing) { tm.Heartbeat = 0 },
	} {
		tm := DefaultTiming()
		change(&tm)
		errs := tm.Check()
		if len(errs) != 1 || !strings.Contains(errs[0].Error(), name) {
			t.Errorf("%s: %v: expected one error that names it", name, errs)
		}
	}
}

// The service is asked for whole seconds, and for no less than the hold: one that forgets us earlier than that would
// end a tenure that is still good.
func TestServerTimeout(t *testing.T) {
	for hold, want := range map[time.Duration]time.Duration{
		20 * time.Second: 20 * time.Second, 2 * time.Second: 2 * time.Second, 1500 * time.Millisecond: 2 * time.Second,
		2*time.Second + time.Millisecond: 3 * time.Second, 100 * time.Millisecond: time.Second,
	} {
		if got := (Timing{Hold: hold}).ServerTimeout(); got != want {
			t.Errorf("a hold of %v asks for %v: expected %v", hold, got, want)
		}
	}
}
