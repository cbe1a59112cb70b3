package fault

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/chaos/judge"
)

// TestAll: names are one word each (the fault log has fields) and of one fault each, times make sense.
func TestAll(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range All() {
		if seen[f.Name] || strings.ContainsAny(f.Name, " \t\n,") || f.Name == "" {
			t.Errorf("%q is no name, or that of two faults", f.Name)
		}
		seen[f.Name] = true
		if f.Inject == nil || f.Weight <= 0 || f.Min > f.Max || f.Min < 0 {
			t.Errorf("%s: %+v", f.Name, f)
		}
	}
	if !seen[stopBoth] {
		t.Errorf("nothing is called %s", stopBoth)
	}
}

// TestClash: nobody survives the loss of both watchers at once.
func TestClash(t *testing.T) {
	watcher, other, alone := Fault{Name: "w", Class: Watcher}, Fault{Name: "o", Class: Other}, Fault{Name: "a", Class: Alone}
	for _, c := range []struct {
		one    Fault
		beside *Part
		want   bool
	}{
		{watcher, nil, false}, {alone, nil, false},
		{watcher, &Part{Fault: Fault{Name: "v", Class: Watcher}}, true},
		{watcher, &Part{Fault: other}, false}, {other, &Part{Fault: watcher}, false},
		{other, &Part{Fault: other}, true}, {alone, &Part{Fault: other}, true},
	} {
		if got := clash(c.one, c.beside); got != c.want {
			t.Errorf("%s beside %v: %v", c.one.Name, c.beside, got)
		}
	}
}

// TestDo: a fault is healed also when its injection failed or the run was interrupted, and the log says
// when, in the form that the judge reads.
func TestDo(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	healed := 0
	heal := func(ctx context.Context) error { healed++; return ctx.Err() }
	broken := errors.New("broken")
	plan := Plan{Parts: []Part{
		{Fault{Name: "works", Inject: func(_ context.Context, e *Env) (Heal, error) { e.Stall = true; return heal, nil }}, &Env{Length: time.Hour}},
		{Fault{Name: "fails", Inject: func(context.Context, *Env) (Heal, error) { return heal, broken }}, &Env{}},
	}}
	for i := range plan.Parts {
		plan.Parts[i].Env.Target.Host = "a.1"
		var log strings.Builder
		err := Plan{Parts: plan.Parts[i : i+1]}.Do(ctx, NewBook(&log))
		if (i == 1) != errors.Is(err, broken) {
			t.Errorf("%s: %v", plan.Parts[i].Fault.Name, err)
		}
		faults, err := judge.ReadFaults(strings.NewReader(log.String()))
		if err != nil || len(faults) != 1 || faults[0].Heal == 0 || faults[0].Host != "a.1" || faults[0].Stall != (i == 0) {
			t.Errorf("%q is read as %+v, %v", log.String(), faults, err)
		}
	}
	if healed != 2 {
		t.Errorf("%d of 2 were healed", healed)
	}
}
