package backup

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/adhocore/gronx"
	"github.com/zeebo/blake3"
)

// A Schedule tells when backups are due: by the clock on the wall of a zone, or so long after the last one.
type Schedule struct {
	every  time.Duration // an interval; 0: cron
	cron   string        // five fields
	zone   *time.Location
	spread time.Duration // added to each
}

// shortestEvery is the shortest interval that is taken: a shorter one is a mistake of units.
const shortestEvery = time.Second

// ParseSchedule reads a schedule: an interval as Go writes it ("15m", counted from the start of the last
// backup), the five fields of cron ("30 2 * * *"), or @hourly, @daily, @weekly, @monthly. zone is that of
// cron's hours; nil is the host's.
func ParseSchedule(text string, zone *time.Location) (Schedule, error) {
	if zone == nil {
		zone = time.Local
	}
	s := Schedule{zone: zone}
	if every, err := time.ParseDuration(text); err == nil {
		if s.every = every; every < shortestEvery {
			return Schedule{}, fmt.Errorf("schedule %q: expected an interval of %s or more", text, shortestEvery)
		}
		return s, nil
	}
	s.cron = cronOf(text)
	if len(strings.Fields(s.cron)) != 5 || !gronx.IsValid(s.cron) {
		return Schedule{}, fmt.Errorf("schedule %q: expected an interval such as 15m, the five fields of cron such as \"30 2 * * *\", or one of @hourly, @daily, @weekly, @monthly", text)
	}
	if _, err := gronx.NextTickAfter(s.cron, time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), true); err != nil {
		return Schedule{}, fmt.Errorf("schedule %q: no day is like this (%w)", text, err)
	}
	return s, nil
}

func cronOf(text string) string {
	switch text {
	case "@hourly":
		return "0 * * * *"
	case "@daily":
		return "0 0 * * *"
	case "@weekly":
		return "0 0 * * 0"
	case "@monthly":
		return "0 0 1 * *"
	}
	return text
}

// Spread delays every backup by a part of most, always the same for the same name: so the members of a
// fleet do not all begin at once. An interval grows by it.
func (s Schedule) Spread(most time.Duration, name string) Schedule {
	s.spread = 0
	if most > 0 {
		sum := blake3.Sum256([]byte(name))
		s.spread = time.Duration(binary.LittleEndian.Uint64(sum[:8]) % uint64(most)).Truncate(time.Millisecond)
	}
	return s
}

// Next is the first time after the start of the last backup that one is due. A zero time is never: there is
// none within the years that are looked at.
func (s Schedule) Next(last time.Time) time.Time {
	if s.every > 0 {
		return last.Add(s.every + s.spread)
	}
	from := last.Add(-s.spread).In(s.zone)
	next := s.tick(from)
	if next.IsZero() {
		return next
	}
	return next.Add(s.spread)
}

// tick is cron's next time. With a star for the hour it is that of the time that passes; a fixed hour is
// one of the wall: where that is skipped, the tick comes at once after, and where it is repeated, once.
func (s Schedule) tick(after time.Time) time.Time {
	if strings.HasPrefix(strings.Fields(s.cron)[1], "*") {
		return s.passing(after)
	}
	wall := time.Date(after.Year(), after.Month(), after.Day(), after.Hour(), after.Minute(), after.Second(), 0, time.UTC)
	for range 24 * 60 { // an hour that is repeated has gone by once already
		next, err := gronx.NextTickAfter(s.cron, wall, false)
		if err != nil || !next.After(wall) {
			return time.Time{}
		}
		if t := onWall(next, s.zone); t.After(after) {
			return t
		}
		wall = next
	}
	return time.Time{}
}

// passing is cron's next time by the time that passes: from one change of the clocks to the next.
func (s Schedule) passing(after time.Time) time.Time {
	from, self := after, false
	for range 64 { // changes of the clocks
		_, end := from.ZoneBounds()
		name, offset := from.Zone()
		next, err := gronx.NextTickAfter(s.cron, from.In(time.FixedZone(name, offset)), self)
		if err != nil {
			return time.Time{}
		}
		if next.After(after) && (end.IsZero() || next.Before(end)) {
			return next.In(s.zone)
		}
		from, self = end.In(s.zone), true
	}
	return time.Time{}
}

// onWall is the first moment at which a clock in zone shows what wall says in UTC, or, where it skips that,
// the first after.
func onWall(wall time.Time, zone *time.Location) time.Time {
	t := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, zone)
	begin, end := t.ZoneBounds()
	shown := shows(t)
	switch {
	case shown.After(wall) && !begin.IsZero():
		return begin
	case shown.Before(wall) && !end.IsZero():
		return end
	}
	if begin.IsZero() {
		return t
	}
	_, before := begin.Add(-time.Nanosecond).Zone()
	if first := wall.Add(-time.Duration(before) * time.Second).In(zone); shows(first).Equal(wall) && first.Before(t) {
		return first
	}
	return t
}

// shows is what a clock shows at t, as a time of UTC.
func shows(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}
