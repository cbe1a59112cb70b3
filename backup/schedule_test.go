package backup

import (
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // zones, also where the machine has none
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	must(t, err)
	return z
}

func schedule(t *testing.T, text string, z *time.Location) Schedule {
	t.Helper()
	s, err := ParseSchedule(text, z)
	must(t, err)
	return s
}

// TestSchedule follows schedules over days at which the clocks are changed.
func TestSchedule(t *testing.T) {
	t.Parallel()
	berlin, lordHowe := zone(t, "Europe/Berlin"), zone(t, "Australia/Lord_Howe") // that one moves by half an hour
	for _, c := range []struct {
		text, from string
		zone       *time.Location
		want       []string
	}{
		{"15m", "2026-03-29T01:50:00+01:00", berlin, []string{"2026-03-29T03:05:00+02:00", "2026-03-29T03:20:00+02:00"}},
		{"30 2 * * *", "2026-03-27T12:00:00+01:00", berlin, []string{"2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
		{"15,45 2 * * *", "2026-03-29T00:00:00+01:00", berlin, []string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:15:00+02:00"}},
		{"30 2 * * *", "2026-10-24T12:00:00+02:00", berlin, []string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		{"*/20 2 * * *", "2026-10-25T02:10:00+01:00", berlin, []string{"2026-10-26T02:00:00+01:00"}},
		{"0 * * * *", "2026-10-25T01:30:00+02:00", berlin, []string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"}},
		{"0 * * * *", "2026-03-29T01:30:00+01:00", berlin, []string{"2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"}},
		{"*/15 * * * *", "2026-03-29T01:40:00+01:00", berlin, []string{"2026-03-29T01:45:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:15:00+02:00"}},
		{"15 2 * * *", "2026-10-03T12:00:00+10:30", lordHowe, []string{"2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"}},
		{"@daily", "2026-02-27T12:00:00Z", time.UTC, []string{"2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"}},
		{"0 3 31 * *", "2026-08-31T04:00:00Z", time.UTC, []string{"2026-10-31T03:00:00Z"}},
		{"0 0 29 2 *", "2026-08-31T04:00:00Z", time.UTC, []string{"2028-02-29T00:00:00Z"}},
	} {
		s := schedule(t, c.text, c.zone)
		at, err := time.Parse(time.RFC3339, c.from)
		must(t, err)
		var got []string
		for range c.want {
			at = s.Next(at)
			got = append(got, at.In(c.zone).Format(time.RFC3339))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q from %s: %v, want %v", c.text, c.from, got, c.want)
		}
	}
}

// Each next time is later than the last one, and cron's minute is right, all through two years.
func TestScheduleGoesOn(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"} {
		for _, text := range []string{"17 */3 * * *", "30 2 * * *", "0 1 * * 0", "45 23 1,15 * *"} {
			s := schedule(t, text, zone(t, name))
			at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			for at.Year() < 2028 {
				next := s.Next(at)
				if !next.After(at) || next.Sub(at) > 17*24*time.Hour+time.Hour {
					t.Fatalf("%q in %s: %s follows %s", text, name, next, at)
				}
				at = next
			}
		}
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	s := schedule(t, "0 3 * * *", time.UTC)
	from := time.Date(2026, 5, 5, 12, 0, 0, 0, time.UTC)
	seen := map[time.Duration]bool{}
	for _, name := range []string{"a", "b", "c", "d"} {
		one := s.Spread(10*time.Minute, name)
		late := one.Next(from).Sub(s.Next(from))
		if late < 0 || late >= 10*time.Minute || one.Next(from) != s.Spread(10*time.Minute, name).Next(from) {
			t.Errorf("%s: %s late", name, late)
		}
		if next := one.Next(one.Next(from)); next.Sub(one.Next(from)) != 24*time.Hour {
			t.Errorf("%s: the next one comes %s later", name, next.Sub(one.Next(from)))
		}
		seen[late] = true
	}
	if len(seen) < 3 {
		t.Errorf("4 names, delays %v", seen)
	}
}

func TestScheduleRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "15", "-5m", "10ms", "every 15m", "* * * *", "* * * * * *", "61 * * * *", "30 2 30 2 *", "@reboot", "@yearly", "x y z a b", "0 0 * * * 2030"} {
		if s, err := ParseSchedule(text, nil); err == nil {
			t.Errorf("%q was taken: %+v", text, s)
		}
	}
}
