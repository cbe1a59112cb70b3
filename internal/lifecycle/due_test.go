package lifecycle

import (
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/courier"
)

// TestDueWithWrongClocks: neither a snapshot that another host stamped with a time to come, nor a clock that is
// set back, puts backups off by more than the schedule's own step.
func TestDueWithWrongClocks(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 10, 0, 0, time.UTC)
	every := func(at time.Time) time.Time { return at.Add(time.Hour) }
	hourly := func(at time.Time) time.Time { return at.Truncate(time.Hour).Add(time.Hour) }
	never := func(time.Time) time.Time { return time.Time{} }
	for _, c := range []struct {
		name        string
		next        func(time.Time) time.Time
		newest, due time.Time
	}{
		{"nothing yet", hourly, time.Time{}, now.Add(50 * time.Minute)},
		{"of this hour", hourly, now.Add(-time.Minute), now.Add(50 * time.Minute)},
		{"missed", hourly, now.Add(-time.Hour), now.Add(overdueWait)},
		{"of a clock a month ahead", hourly, now.AddDate(0, 1, 0), now.Add(50 * time.Minute)},
		{"interval goes on", every, now.Add(-20 * time.Minute), now.Add(40 * time.Minute)},
		{"interval, of a clock a month ahead", every, now.AddDate(0, 1, 0), now.Add(time.Hour)},
		{"never", never, now.Add(-time.Hour), time.Time{}},
	} {
		if got := firstDue(c.next, c.newest, now); !got.Equal(c.due) {
			t.Errorf("%s: due at %s, want %s", c.name, got, c.due)
		}
	}
	back := now.AddDate(0, -1, 0)
	for _, c := range []struct {
		name           string
		next           func(time.Time) time.Time
		due, now, want time.Time
	}{
		{"as before", hourly, now.Add(50 * time.Minute), now.Add(time.Minute), now.Add(50 * time.Minute)},
		{"sooner than the schedule, after a failure", hourly, now.Add(time.Minute), now, now.Add(time.Minute)},
		{"set back", hourly, now.Add(50 * time.Minute), back, back.Add(50 * time.Minute)},
		{"interval, set back", every, now.Add(time.Hour), back, back.Add(time.Hour)},
		{"no further slot", never, now.Add(time.Minute), now, now.Add(time.Minute)},
	} {
		if got := stillDue(c.next, c.due, c.now); !got.Equal(c.want) {
			t.Errorf("%s: due at %s, want %s", c.name, got, c.want)
		}
	}
}

// TestDumpHasTimeToBePublished: what warm.budget.time bounds is the reading of a cache. A dump that this has cut must
// not be killed while it is sent to the store.
func TestDumpHasTimeToBePublished(t *testing.T) {
	var p StorePlan
	p.Errand.Warm = config.Warm{Memcached: "a:1", Schedule: "30m", Budget: config.WarmBudget{Time: time.Hour}}
	if op, limit := p.backup(); op != courier.OpDump || limit < 2*time.Hour {
		t.Errorf("%s within %v", op, limit)
	}
}
