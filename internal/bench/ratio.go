package bench

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// A Paired row has one figure of each round, so that rounds, which other load
// on the machine makes unlike, are compared within themselves.
type Paired struct {
	name   string
	values []float64
}

// NewPaired starts a row.
func NewPaired(name string) *Paired { return &Paired{name: name} }

// Add takes the figure of the next round.
func (p *Paired) Add(value float64) { p.values = append(p.values, value) }

// An Interval is a median with bounds that hold it in at least 95 of 100 such
// measurements, whatever the distribution (order statistics). With fewer than
// six values there is no such interval: the bounds are the extremes.
type Interval struct{ Low, Median, High float64 }

// Against is the ratio to base, round by round.
func (p *Paired) Against(base *Paired) Interval {
	var ratios []float64
	for i := range min(len(p.values), len(base.values)) {
		ratios = append(ratios, p.values[i]/base.values[i])
	}
	return intervalOf(ratios)
}

func intervalOf(values []float64) Interval {
	s := &Sample{values: values}
	v := slices.Sorted(slices.Values(values))
	if len(v) == 0 {
		return Interval{}
	}
	r := rank(len(v))
	return Interval{Low: v[r], Median: s.Median(), High: v[len(v)-1-r]}
}

// rank is the largest r for which fewer than r+1 of n fair coins show heads in
// at most 2.5 of 100 tries: then the median lies between the values of rank r
// and n-1-r.
func rank(n int) int {
	probability, sum := 1.0, 0.0
	for range n {
		probability /= 2
	}
	r := -1
	for k := range n {
		if sum += probability; sum > 0.025 {
			break
		}
		r = k
		probability *= float64(n-k) / float64(k+1)
	}
	return max(r, 0)
}

func boundsName(n int) string {
	if n < 6 {
		return "its extremes"
	}
	return "its 95 % interval"
}

// Below tells whether i lies lower than all of what control shows.
func (i Interval) Below(control Interval) bool { return i.High < min(control.Low, 1) }

func (i Interval) String() string { return fmt.Sprintf("%.3f (%.3f to %.3f)", i.Median, i.Low, i.High) }

// Ratios writes rows with their ratio to base. control is base measured a
// second time: what it shows is noise.
func Ratios(w io.Writer, title, unit string, base, control *Paired, rows ...*Paired) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\n%s, %s; ratio = median of the rounds' ratios to %q, with %s\n", title, unit, base.name, boundsName(len(base.values)))
	fmt.Fprintln(t, "\tn\tmin\tmedian\tmax\tratio\t")
	for _, p := range append([]*Paired{base, control}, rows...) {
		s := &Sample{values: p.values}
		fmt.Fprintf(t, "%s\t%d\t%.1f\t%.1f\t%.1f\t%s\t\n", p.name, len(p.values),
			slices.Min(p.values), s.Median(), slices.Max(p.values), p.Against(base))
	}
	return t.Flush()
}
