package supervise

import (
	"runtime"
	"testing"
)

// With a GOGC, which may be off, the guard collects all the same; without one it leaves it to the runtime.
func TestGuardCollects(t *testing.T) {
	for value, want := range map[string]uint32{"off": 2, "": 0} {
		t.Setenv("GOGC", value)
		g := newGarbage()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 2 * garbageEvery {
			g.message()
		}
		runtime.ReadMemStats(&after)
		if got := after.NumForcedGC - before.NumForcedGC; got != want {
			t.Errorf("GOGC=%s: %d collections, expected %d", value, got, want)
		}
	}
}
