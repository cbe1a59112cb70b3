package bench

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// Sample collects the figures of one row. After a failure it has none.
type Sample struct {
	name   string
	values []float64
	failed error
	absent string
}

// NewSample starts a row.
func NewSample(name string) *Sample { return &Sample{name: name} }

// Absent is a row for a tool that is not there.
func Absent(name, reason string) *Sample { return &Sample{name: name, absent: reason} }

// Add takes the outcome of one round; the first failure stays.
func (s *Sample) Add(value float64, err error) {
	if s.failed == nil && err != nil {
		s.failed = fmt.Errorf("round %d: %w", len(s.values)+1, err)
	}
	s.values = append(s.values, value)
}

// Measures tells whether another round of this row makes sense.
func (s *Sample) Measures() bool { return s.failed == nil && s.absent == "" }

// Err is the first failure.
func (s *Sample) Err() error { return s.failed }

// Median is the middle value, or the mean of the two.
func (s *Sample) Median() float64 { return s.quantile(0.5) }

// quantile interpolates between the two nearest values.
func (s *Sample) quantile(q float64) float64 {
	v := slices.Sorted(slices.Values(s.values))
	at := q * float64(len(v)-1)
	low := int(at)
	if low+1 >= len(v) {
		return v[len(v)-1]
	}
	return v[low] + (at-float64(low))*(v[low+1]-v[low])
}

// enough is the number of rounds from which a 90th percentile is shown.
const enough = 30

// Table writes rows; base, if not nil, is the row that the others' medians
// are compared with.
func Table(w io.Writer, title, unit string, base *Sample, rows ...*Sample) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\n%s, %s\n", title, unit)
	fmt.Fprintln(t, "\tn\tmin\tmedian\tp90\tmax\tover bare\t")
	var notes []string
	for _, s := range rows {
		switch {
		case s.absent != "":
			notes = append(notes, s.name+": absent: "+s.absent)
		case s.failed != nil:
			notes = append(notes, s.name+": FAILED: "+s.failed.Error())
		case len(s.values) == 0:
			notes = append(notes, s.name+": FAILED: no round was run")
		default:
			fmt.Fprintln(t, s.row(base))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, n := range notes {
		if _, err := fmt.Fprintln(w, n); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sample) row(base *Sample) string {
	p90, over := "-", "-"
	if len(s.values) >= enough {
		p90 = fmt.Sprintf("%.2f", s.quantile(0.9))
	}
	if base != nil && base != s && base.Measures() && len(base.values) > 0 {
		over = fmt.Sprintf("%+.2f", s.Median()-base.Median())
	}
	return fmt.Sprintf("%s\t%d\t%.2f\t%.2f\t%s\t%.2f\t%s\t", s.name, len(s.values),
		slices.Min(s.values), s.Median(), p90, slices.Max(s.values), over)
}
