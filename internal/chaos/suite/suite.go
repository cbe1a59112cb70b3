// Package suite runs faults against a field, one seed after the other, and judges what came of it.
//
// Promise: each seed begins with a payload that runs, and ends with one that runs again or with a
// violation; the verdict comes from the payloads' log and the fault log alone. Non-promise: that a seed
// that was fine once is fine always. Called by the command of the suite and by tests.
package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/interlock-run/interlock/internal/chaos/fault"
	"github.com/interlock-run/interlock/internal/chaos/field"
	"github.com/interlock-run/interlock/internal/chaos/judge"
	"github.com/interlock-run/interlock/internal/chaos/register"
)

// Options say what to run.
type Options struct {
	Field  field.Options
	From   uint64   // first seed
	N      int      // how many
	Faults []string // only these; all when empty
	Each   bool     // not drawn: each of Faults in turn, alone
	Say    io.Writer
}

// A Result is what came of one field.
type Result struct {
	Backend    string
	Timing     field.Timing
	Done       []Done
	Verdict    judge.Verdict
	Outcomes   []judge.Outcome
	Register   register.Counts
	Starts     map[string]int
	Codes      map[int]int
	Broken     []string // what a fault saw itself
	Dead       []string // seeds after which nobody ran in time
	Late       []string // chains of deaths after which somebody ran later than the protocol allows
	Unplanned  error    // of the harness
	Dir, Trace string
}

// Done is one seed that was carried out.
type Done struct {
	Seed     uint64
	Plan     string
	From, To time.Duration // CLOCK_BOOTTIME
}

// patience is for the next begin after a heal, many times what the protocol needs: the tables tell how
// long it took, this is the bound past which nobody is coming. Holds count, for the defaults are slow.
func patience(t field.Timing) time.Duration { return 30*time.Second + 4*t.Hold }

// Run makes a field, breaks it N times, and judges. An error says that the harness failed; what the
// product did wrong is in the result.
func Run(ctx context.Context, o Options) (Result, error) {
	res := Result{Backend: o.Field.Backend, Timing: o.Field.Timing, Dir: o.Field.Dir, Starts: map[string]int{}, Codes: map[int]int{}}
	file, err := os.Create(filepath.Join(o.Field.Dir, "faults.log"))
	if err != nil {
		return res, err
	}
	defer file.Close()
	o.Field.Seed = o.From
	up, cancel := context.WithTimeout(ctx, 2*time.Minute)
	f, err := field.New(up, o.Field)
	cancel()
	if err != nil {
		return res, fmt.Errorf("the field %s does not come up: %w", o.Field.Backend, err)
	}
	book := fault.NewBook(file)
	for i := range o.N {
		if err := one(ctx, o, f, book, o.From+uint64(i), &res); err != nil {
			res.Unplanned = err
			break
		}
	}
	res.count(f)
	if err := f.Close(); err != nil {
		return res, errors.Join(res.Unplanned, err)
	}
	return res, errors.Join(res.Unplanned, res.judge())
}

// one is one seed: wait until somebody runs, break, heal, wait again.
func one(ctx context.Context, o Options, f *field.Field, book *fault.Book, seed uint64, res *Result) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	plan, err := drawn(ctx, f, seed, o.names(seed))
	if err != nil {
		return fmt.Errorf("seed %d: %w", seed, err)
	}
	d := Done{Seed: seed, Plan: plan.String(), From: field.Now()}
	err = plan.Do(ctx, book)
	healed := field.Now()
	if err != nil {
		return fmt.Errorf("seed %d: %w", seed, err)
	}
	for _, part := range plan.Parts {
		if part.Env.Broken != "" {
			res.Broken = append(res.Broken, fmt.Sprintf("seed %d (%s): %s", seed, plan, part.Env.Broken))
		}
	}
	alive, err := recovered(ctx, f, settle(seed))
	d.To = field.Now()
	res.Done = append(res.Done, d)
	after := fmt.Sprintf("served %.1f s after the heal", (d.To - healed).Seconds())
	if err != nil {
		return fmt.Errorf("seed %d: %s: %w", seed, d.Plan, err)
	}
	if !alive {
		after = "DEAD: nobody ran in time"
		res.Dead = append(res.Dead, fmt.Sprintf("seed %d: %s", seed, d.Plan))
	}
	_, err = fmt.Fprintf(o.Say, "%s seed %d: %s: %s\n", o.Field.Backend, seed, d.Plan, after)
	return err
}

// names are the faults that a seed is drawn from.
func (o Options) names(seed uint64) []string {
	if !o.Each {
		return o.Faults
	}
	return o.Faults[(seed-o.From)%uint64(len(o.Faults)):][:1]
}

// drawn draws a plan while there is a holder. It may end in the moment between; then it is drawn again.
func drawn(ctx context.Context, f *field.Field, seed uint64, names []string) (p fault.Plan, err error) {
	for range 20 {
		limited, cancel := context.WithTimeout(ctx, patience(f.Timing))
		err = f.Serving(limited)
		cancel()
		if err != nil {
			return p, err
		}
		if p, err = fault.Draw(f, seed, names); err == nil {
			return p, nil
		}
		field.Pause(ctx, 100*time.Millisecond)
	}
	return p, err
}

// settle is how long the effect of a fault gets to show before the field counts as recovered: a holder that
// lost its lock may run for most of the hold.
func settle(seed uint64) time.Duration {
	const low, high = 300 * time.Millisecond, 1500 * time.Millisecond
	return low + time.Duration(rand.New(rand.NewPCG(seed, 3)).Int64N(int64(high-low)))
}

// recovered waits until all servers answer and a payload runs.
func recovered(ctx context.Context, f *field.Field, after time.Duration) (alive bool, err error) {
	field.Pause(ctx, after)
	limited, cancel := context.WithTimeout(ctx, patience(f.Timing))
	defer cancel()
	for _, s := range f.Servers {
		if err := s.Await(limited); err != nil {
			return false, err
		}
	}
	err = f.Serving(limited)
	if err != nil && ctx.Err() != nil {
		return false, ctx.Err()
	}
	return err == nil, nil
}

func (r *Result) count(f *field.Field) {
	for _, c := range f.Contenders {
		starts, codes := c.Stats()
		r.Starts[c.Name] = starts
		for code, n := range codes {
			r.Codes[code] += n
		}
	}
	r.Register = f.Register.Counts()
}

// judge reads the logs that the field left.
func (r *Result) judge() error {
	r.Trace = filepath.Join(r.Dir, "payload.log")
	book, err := os.Open(filepath.Join(r.Dir, "faults.log"))
	if err != nil {
		return err
	}
	defer book.Close()
	faults, err := judge.ReadFaults(book)
	if err != nil {
		return err
	}
	log, err := os.Open(r.Trace)
	if err != nil {
		return err
	}
	defer log.Close()
	r.Verdict, err = judge.File(log, judge.Rules{Stalls: judge.Stalls(faults), KillBudget: r.Timing.KillBudget})
	r.Outcomes = judge.Outcomes(faults, r.Verdict.Tenures, r.Timing.Hold)
	r.Late = late(r.Outcomes, takeOver(r.Timing))
	return err
}

// takeOver is the sum of protocol.md section 7: the time that the service grants (holds in whole seconds, and
// no less than 2 s), its own tick, what is owed, and the start on a machine that does much else.
func takeOver(t field.Timing) time.Duration {
	const tick, start = time.Second, 3 * time.Second
	granted := max(2*time.Second, t.Hold.Truncate(time.Second)+time.Second)
	return granted + tick + time.Duration(1.004*float64(t.Hold)) + start
}

// late are the chains of dying contenders, with all servers well, that took longer: what each had waited
// must count for the next (T4).
func late(all []judge.Outcome, bound time.Duration) []string {
	var out []string
	for _, o := range all {
		if slices.Contains([]string{"chain", "chain-removed", "crash-loop"}, o.Fault.Name) && o.After > bound {
			out = append(out, fmt.Sprintf("%s: nobody ran for %v after it, at most %v is allowed", o.Fault.Name, o.After, bound))
		}
	}
	return out
}

// Red tells whether a promise was broken.
func (r *Result) Red() bool {
	return len(r.Verdict.Violations) > 0 || len(r.Dead) > 0 || len(r.Late) > 0 || len(r.Broken) > 0
}
