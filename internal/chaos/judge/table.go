package judge

import (
	"fmt"
	"slices"
	"time"
)

// A Table sums up a sample. Percentiles of a small one would be make-believe: under 30 there are none.
type Table struct {
	N                     int
	Min, Median, Max      time.Duration
	P1, P99               time.Duration
	percentilesMeanThings bool
}

const fewest = 30

// Summarise makes the table of a sample, which it does not change.
func Summarise(sample []time.Duration) Table {
	if len(sample) == 0 {
		return Table{}
	}
	s := slices.Sorted(slices.Values(sample))
	at := func(p int) time.Duration { return s[(len(s)*p+99)/100-1] } // the nearest rank
	return Table{N: len(s), Min: s[0], Median: at(50), Max: s[len(s)-1], P1: at(1), P99: at(99), percentilesMeanThings: len(s) >= fewest}
}

func (t Table) String() string {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)) }
	if t.N == 0 {
		return "n 0"
	}
	if !t.percentilesMeanThings {
		return fmt.Sprintf("n %d  min %s  median %s  max %s ms", t.N, ms(t.Min), ms(t.Median), ms(t.Max))
	}
	return fmt.Sprintf("n %d  p0 %s  p1 %s  p50 %s  p99 %s  max %s ms", t.N, ms(t.Min), ms(t.P1), ms(t.Median), ms(t.P99), ms(t.Max))
}
