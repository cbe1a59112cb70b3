package model

import (
	"os"
	"strconv"
	"testing"
	"time"
)

func TestTry(t *testing.T) {
	limit := 3_000_000
	if v := os.Getenv("LIM"); v != "" {
		limit, _ = strconv.Atoi(v)
	}
	atoi := func(k string, d int) int {
		if v := os.Getenv(k); v != "" {
			d, _ = strconv.Atoi(v)
		}
		return d
	}
	for r := rule(atoi("FROM", 0)); r < rule(atoi("TO", int(rules))); r++ {
		m := newLeases(leases{dropped: r, timing: small(), contenders: atoi("CONT", 3), removals: atoi("REM", 1), late: atoi("LATE", 1), fences: true, init: os.Getenv("INIT") != "" || r == initAbsent || r == initLocked})
		b := time.Now()
		f := breadthFirst(m, limit)
		t.Logf("%-45s states %8d complete %v why %q depth %d  %v", r, f.states, f.complete, f.why, len(f.way), time.Since(b).Round(time.Millisecond))
		if f.why != "" && os.Getenv("STORY") != "" {
			lines, err := replay(m, f.way)
			for _, l := range lines {
				t.Log(l)
			}
			if err != nil {
				t.Log(err)
			}
		}
	}
}
