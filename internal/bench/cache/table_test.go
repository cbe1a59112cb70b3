//go:build bench

package cache

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// row is one figure: ours beside theirs, round by round.
type row struct {
	name, unit string
	ours, than []float64
	aim        string                               // empty: printed for comparison only
	met        func(ours, than, ratio float64) bool // of medians
	upside     bool                                 // the ratio is than over ours: less is better
}

func (r *row) add(ours, than float64) {
	r.ours, r.than = append(r.ours, ours), append(r.than, than)
}

// ratios are of each round: what disturbs the machine disturbs both halves of it.
func (r *row) ratios() (all []float64) {
	for n := range r.ours {
		a, b := r.ours[n], r.than[n]
		if r.upside {
			a, b = b, a
		}
		all = append(all, a/b)
	}
	return all
}

func atLeast(aim float64) func(_, _, ratio float64) bool {
	return func(_, _, ratio float64) bool { return ratio >= aim }
}

type table []*row

func (all table) print(t *testing.T, s sizes, before string) {
	t.Helper()
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "figure (medians)\tunit\tours\tbeside\tratio\t(least .. most)\taim\t")
	for _, r := range all {
		ours, than, ratios := median(r.ours), median(r.than), r.ratios()
		verdict := r.aim
		if r.met != nil && r.met(ours, than, median(ratios)) {
			verdict += ": met"
		} else if r.met != nil {
			verdict += ": MISSED"
		}
		fmt.Fprintf(w, "%s\t%s\t%.4g\t%.4g\t%.2f\t(%.2f .. %.2f)\t%s\t\n", r.name, r.unit, ours, than, median(ratios),
			slices.Min(ratios), slices.Max(ratios), verdict)
	}
	must(t, w.Flush())
	version, err := exec.Command("memcached", "--version").Output()
	must(t, err)
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	must(t, err)
	t.Logf("%s, %s, Linux %s, %d processors, loopback; load before %s, after %s; %d items of the mix, %d rounds, %d items for memory\n%s",
		strings.TrimSpace(string(version)), runtime.Version(), strings.TrimSpace(string(kernel)), runtime.NumCPU(), before, load1(t),
		s.items, s.rounds, s.large, text.String())
}

// load1 is the machine's load of the last minute.
func load1(t testing.TB) string {
	t.Helper()
	raw, err := os.ReadFile("/proc/loadavg")
	must(t, err)
	first, _, _ := strings.Cut(string(raw), " ")
	return first
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	if len(v)%2 == 1 {
		return v[len(v)/2]
	}
	return (v[len(v)/2-1] + v[len(v)/2]) / 2
}
