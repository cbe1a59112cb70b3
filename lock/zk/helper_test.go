package zk

import (
	"context"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

// quick is a short lease that a loaded machine still keeps.
func quick() lock.Timing {
	return lock.Timing{Hold: 6 * time.Second, Heartbeat: 300 * time.Millisecond, TryTimeout: time.Second, Tries: 3,
		KillBudget: 100 * time.Millisecond, Margin: 50 * time.Millisecond, HoldMax: time.Minute}
}

const patient = 30 * time.Second

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func settings() lock.Settings {
	return lock.Settings{Timing: quick(), Holder: "tester", Node: "here", Clock: clock.Now, Log: func(string, ...any) {}}
}

func opened(t testing.TB, url string, s lock.Settings) lock.Driver {
	t.Helper()
	u, err := ParseURL(url)
	must(t, err)
	d, err := Open(within(t, patient), u, s)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

// joined puts a contender in and pulses it until the test ends.
func joined(t testing.TB, d lock.Driver) *place {
	t.Helper()
	p, err := d.Join(within(t, patient))
	must(t, err)
	pulseUntilEnd(t, p)
	return p.(*place)
}

func pulseUntilEnd(t testing.TB, p lock.Place) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.Pulse()
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}

func ignore(lock.Version, clock.Stamp) {}

func held(t testing.TB, d lock.Driver) *place {
	t.Helper()
	p := joined(t, d)
	must(t, p.Await(within(t, patient), ignore))
	return p
}

func awaiting(t testing.TB, p *place) <-chan error {
	result := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 2*patient)
	done := make(chan struct{})
	go func() { defer close(done); result <- p.Await(ctx, ignore) }()
	t.Cleanup(func() { cancel(); <-done })
	return result
}

func want(t testing.TB, r lock.Result, err error, o lock.Outcome) lock.Result {
	t.Helper()
	if r.Outcome != o {
		t.Fatalf("outcome %v (%v), expected %v", r.Outcome, err, o)
	}
	return r
}

func keys(t testing.TB, server *testkit.ZKServer, path string) []string {
	t.Helper()
	names, _, err := stranger(t, server).Children(path)
	must(t, err)
	return names
}
