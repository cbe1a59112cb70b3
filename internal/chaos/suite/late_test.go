package suite

import (
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/chaos/field"
	"github.com/interlock-run/interlock/internal/chaos/judge"
)

// A crash loop that nobody gets out of within the protocol's sum is a failure; a fault of servers is not held
// to it.
func TestLate(t *testing.T) {
	bound := takeOver(field.Quick())
	for _, c := range []struct {
		fault string
		after time.Duration
		late  int
	}{
		{"crash-loop", bound + time.Millisecond, 1},
		{"crash-loop", bound, 0},
		{"chain", bound + time.Second, 1},
		{"server-kill-majority", bound + time.Second, 0},
	} {
		got := late([]judge.Outcome{{Fault: judge.Fault{Name: c.fault}, After: c.after}}, bound)
		if len(got) != c.late {
			t.Errorf("%s, %v after: %q", c.fault, c.after, got)
		}
		if r := (&Result{Late: got}); r.Red() != (c.late > 0) {
			t.Errorf("%s, %v after: red is %v", c.fault, c.after, r.Red())
		}
	}
}
