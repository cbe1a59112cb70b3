package suite

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/interlock-run/interlock/internal/chaos/judge"
)

// Print writes the tables of one field.
func (r *Result) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s: %d seeds, %d faults, %d tenures, hold %v\n", r.Backend, len(r.Done), len(r.Outcomes), len(r.Verdict.Tenures), r.Timing.Hold)
	r.table(&b)
	fmt.Fprintf(&b, "last line of the old to first of the new: %v\n", r.Verdict.Margins)
	r.stalls(&b)
	fmt.Fprintf(&b, "register: %d writes accepted, %d of older tokens refused, %d garbled\n", r.Register.Accepted, r.Register.Rejects, r.Register.Garbled)
	fmt.Fprintf(&b, "starts:%s; ends:%s\n", list(r.Starts), list(r.Codes))
	for _, d := range r.Dead {
		fmt.Fprintf(&b, "DEAD %s %s\n", r.Backend, d)
	}
	for _, d := range r.Late {
		fmt.Fprintf(&b, "LATE %s %s\n", r.Backend, d)
	}
	for _, d := range r.Broken {
		fmt.Fprintf(&b, "VIOLATION %s %s\n", r.Backend, d)
	}
	for _, v := range r.Verdict.Violations {
		fmt.Fprintf(&b, "VIOLATION %s %s%v\n", r.Backend, r.seedAt(v.At), v)
	}
	if r.Unplanned != nil {
		fmt.Fprintf(&b, "HARNESS %s %v\n", r.Backend, r.Unplanned)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// seedAt names the seed in whose time a moment lies.
func (r *Result) seedAt(at time.Duration) string {
	for _, d := range r.Done {
		if d.From <= at && at <= d.To {
			return fmt.Sprintf("seed %d (%s): ", d.Seed, d.Plan)
		}
	}
	return ""
}

// row is one fault's outcomes.
type row struct {
	n, kept int
	after   []time.Duration
}

func (r *Result) table(b *strings.Builder) {
	rows, total := map[string]*row{}, &row{}
	for _, o := range r.Outcomes {
		one := rows[o.Fault.Name]
		if one == nil {
			one = &row{}
			rows[o.Fault.Name] = one
		}
		for _, x := range []*row{one, total} {
			x.add(o)
		}
	}
	fmt.Fprintf(b, "%-26s %5s %5s  healed to next begin\n", "fault", "n", "kept")
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(b, "%-26s %5d %5d  %v\n", name, rows[name].n, rows[name].kept, judge.Summarise(rows[name].after))
	}
	fmt.Fprintf(b, "%-26s %5d %5d  %v\n", "all", total.n, total.kept, judge.Summarise(total.after))
}

func (x *row) add(o judge.Outcome) {
	x.n++
	switch {
	case o.Kept:
		x.kept++
	case o.Began:
		x.after = append(x.after, o.After)
	}
}

// stalls are reported apart: their length is judged, their overlap is not promised away.
func (r *Result) stalls(b *strings.Builder) {
	var lengths []time.Duration
	for _, e := range r.Verdict.Excesses {
		lengths = append(lengths, e.Length)
	}
	fmt.Fprintf(b, "stalled as a whole across the deadline, went on for (at most %v is allowed): %v\n", r.Timing.KillBudget, judge.Summarise(lengths))
}

func list[K cmp.Ordered](m map[K]int) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, " %v x%d", k, m[k])
	}
	return b.String()
}
