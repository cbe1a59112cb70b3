package backup

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/interlock-run/interlock/internal/bench"
)

// A Row is what one program needed for one step, round by round.
type Row struct {
	Name   string
	Failed error  // no figures then
	Absent string // why there are none
	wall   *bench.Paired
	values []float64 // of wall, in seconds
	cpu    []float64
	rss    []float64
	pss    []float64
	stored []float64
}

// NewRow starts a row.
func NewRow(name string) *Row { return &Row{Name: name, wall: bench.NewPaired(name)} }

// A Figure is what one step has cost: seconds with the sync behind it, seconds of processors, MiB of the
// largest process and of all, MiB that the repository grew by.
type Figure struct{ Wall, CPU, RSS, PSS, Stored float64 }

// Add takes the figure of the next round.
func (r *Row) Add(f Figure) {
	r.wall.Add(f.Wall)
	r.values, r.cpu = append(r.values, f.Wall), append(r.cpu, f.CPU)
	r.rss, r.pss, r.stored = append(r.rss, f.RSS), append(r.pss, f.PSS), append(r.stored, f.Stored)
}

// Fail takes a row out: the first reason stays.
func (r *Row) Fail(err error) {
	if r.Failed == nil {
		r.Failed = err
	}
}

// Measures tells whether there are or will be figures.
func (r *Row) Measures() bool { return r.Failed == nil && r.Absent == "" }

func (r *Row) filled() bool { return r.Measures() && len(r.values) > 0 }

// An Aim is a figure that is wanted of the first row: so many times another program's speed, at most so
// many of its bytes, at most so many seconds. Zero is no wish.
type Aim struct {
	Against string
	Times   float64
	Bytes   float64
	Seconds float64
}

// Table writes rows and, of the first one, which aims are met.
func Table(w io.Writer, title string, rows []*Row, aims []Aim) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\n%s\n", title)
	fmt.Fprintln(t, "\tn\tmin s\tmedian s\tmax s\tslower than "+rows[0].Name+"\tCPU s\tRSS MiB\tPSS MiB\tstored MiB\t")
	for _, r := range rows {
		if r.filled() {
			fmt.Fprintln(t, r.line(rows[0]))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range rows {
		switch {
		case r.Absent != "":
			fmt.Fprintf(w, "%s: absent: %s\n", r.Name, r.Absent)
		case r.Failed != nil:
			fmt.Fprintf(w, "%s: FAILED: %v\n", r.Name, r.Failed)
		}
	}
	for _, a := range aims {
		if _, err := fmt.Fprintln(w, a.verdict(rows)); err != nil {
			return err
		}
	}
	return nil
}

func (r *Row) line(base *Row) string {
	ratio := "-"
	if base.filled() && r != base {
		ratio = fmt.Sprintf("%sx", short(r.wall.Against(base.wall)))
	}
	return fmt.Sprintf("%s\t%d\t%.2f\t%.2f\t%.2f\t%s\t%.2f\t%.0f\t%.0f\t%.1f\t", r.Name, len(r.values),
		slices.Min(r.values), median(r.values), slices.Max(r.values), ratio, median(r.cpu), slices.Max(r.rss), slices.Max(r.pss), median(r.stored))
}

func short(i bench.Interval) string {
	return fmt.Sprintf("%.2f (%.2f to %.2f)", i.Median, i.Low, i.High)
}

// verdict says what the aim is, what was reached, and which of the two is more.
func (a Aim) verdict(rows []*Row) string {
	ours := rows[0]
	if !ours.filled() {
		return "aim: NOT MEASURED: " + ours.Name + " has no figures"
	}
	if a.Seconds > 0 {
		got := median(ours.values)
		return fmt.Sprintf("aim: at most %g s: %.3f s: %s", a.Seconds, got, met(got <= a.Seconds))
	}
	i := slices.IndexFunc(rows, func(r *Row) bool { return r.Name == a.Against && r.filled() })
	if i < 0 {
		return fmt.Sprintf("aim: NOT MEASURED: there are no figures of %s", a.Against)
	}
	if a.Bytes > 0 {
		got := median(ours.stored) / median(rows[i].stored)
		return fmt.Sprintf("aim: at most %.2f of the bytes of %s: %.2f: %s", a.Bytes, a.Against, got, met(got <= a.Bytes))
	}
	got := rows[i].wall.Against(ours.wall).Median
	return fmt.Sprintf("aim: at least %g times the speed of %s: %.2f: %s", a.Times, a.Against, got, met(got >= a.Times))
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "MISSED"
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}
