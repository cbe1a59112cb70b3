package mountcheck

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// lack says what is missing of free space or inodes, empty if nothing is. Filesystems that count neither
// (no blocks or no inodes in all) lack none.
func (b Bounds) lack(s probe.Space) string {
	free := s.Avail * s.Unit
	if s.Unit > 0 && s.Avail > math.MaxUint64/s.Unit {
		free = math.MaxUint64
	}
	switch {
	case s.Blocks > 0 && s.Avail == 0:
		return "no free space"
	case s.Blocks > 0 && free < b.MinFree:
		return fmt.Sprintf("%s free, expected at least %s", sizeText(free), sizeText(b.MinFree))
	case s.Files > 0 && s.Free == 0:
		return "no free inodes"
	case s.Files > 0 && s.Free < b.MinInodes:
		return fmt.Sprintf("%d inodes free, expected at least %d", s.Free, b.MinInodes)
	}
	return ""
}

// How many probes latency is judged on: one slow answer of a busy disk says nothing.
const (
	latencyLeast = 3
	latencyMost  = 5
)

// pace is how long the last probes took.
type pace []time.Duration

func (p *pace) add(d time.Duration) {
	if *p = append(*p, d); len(*p) > latencyMost {
		*p = slices.Delete(*p, 0, 1)
	}
}

// looks is how many probes a single look needs.
func (b Bounds) looks() int {
	if b.Latency > 0 {
		return latencyLeast
	}
	return 1
}

// slow says by how much the median is above the bound, empty if it is not.
func (b Bounds) slow(p pace) string {
	if b.Latency <= 0 || len(p) < latencyLeast {
		return ""
	}
	sorted := slices.Sorted(slices.Values(p))
	if median := sorted[len(sorted)/2]; median > b.Latency {
		return fmt.Sprintf("a probe takes %s (median of the last %d), expected at most %s", median.Round(time.Microsecond), len(p), b.Latency)
	}
	return ""
}

// sizeUnits are powers of 1024.
var sizeUnits = [...]string{"KiB", "MiB", "GiB", "TiB", "PiB"}

// ParseSize reads bytes: a whole number, alone or with KiB, MiB, GiB, TiB or PiB.
func ParseSize(s string) (uint64, error) {
	digits, unit := s, uint64(1)
	for i, name := range sizeUnits {
		if rest, is := strings.CutSuffix(s, name); is {
			digits, unit = rest, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("found %q, expected bytes as a whole number, alone or with KiB, MiB, GiB, TiB or PiB", s)
	}
	return n * unit, nil
}

// sizeText is a size as people read it.
func sizeText(n uint64) string {
	for i := len(sizeUnits) - 1; i >= 0; i-- {
		if unit := uint64(1) << (10 * (i + 1)); n >= unit {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit), sizeUnits[i])
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
