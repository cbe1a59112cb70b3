package bench

import (
	"strings"
	"testing"
)

func paired(name string, values ...float64) *Paired {
	p := NewPaired(name)
	for _, v := range values {
		p.Add(v)
	}
	return p
}

// The ranks are those of the tables for the sign test: 6 values need the
// extremes, 10 the second, 30 the tenth.
func TestRank(t *testing.T) {
	for n, want := range map[int]int{1: 0, 5: 0, 6: 0, 9: 1, 10: 1, 12: 2, 20: 5, 30: 9} {
		if got := rank(n); got != want {
			t.Errorf("%d values: rank %d, want %d", n, got, want)
		}
	}
}

func TestRatiosArePaired(t *testing.T) {
	base := paired("bare", 100, 10, 1000, 50, 70, 90)
	twice := paired("x", 200, 20, 2000, 100, 140, 180)
	if got := twice.Against(base); got != (Interval{2, 2, 2}) {
		t.Errorf("%+v: rounds that differ tenfold hide a ratio of 2", got)
	}
}

func TestBelow(t *testing.T) {
	control := Interval{0.97, 1.01, 1.04}
	for _, c := range []struct {
		i    Interval
		want bool
	}{
		{Interval{0.80, 0.90, 0.96}, true},
		{Interval{0.80, 0.96, 0.98}, false},
		{Interval{0.99, 1.00, 1.01}, false},
	} {
		if got := c.i.Below(control); got != c.want {
			t.Errorf("%v below %v: %v", c.i, control, got)
		}
	}
	// A control that came out faster makes nothing slow.
	if (Interval{1.01, 1.02, 1.03}).Below(Interval{1.05, 1.06, 1.07}) {
		t.Error("faster than bare counts as slower")
	}
}

func TestRatiosTable(t *testing.T) {
	var out strings.Builder
	base := paired("bare", 1, 2, 4)
	if err := Ratios(&out, "title", "tps", base, paired("bare again", 1, 2, 4), paired("interlock", 0.5, 1, 2)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"bare again", "1.000 (1.000 to 1.000)", "0.500 (0.500 to 0.500)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
