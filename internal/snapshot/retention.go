package snapshot

import (
	"fmt"
	"slices"
	"time"
)

// A Keep is how many snapshots retention leaves: the last ones, and the last of each of so many hours,
// days, weeks and months that have any.
type Keep struct {
	Last, Hourly, Daily, Weekly, Monthly int
}

// restorableAtLeast is what retention leaves whatever it was told.
const restorableAtLeast = 1

// Drop chooses the live snapshots that k does not keep. They are in the order of their catalog numbers,
// which no clock can change; recorded times only sort them into hours and days (UTC). Pinned ones stay and
// count; damaged ones neither count nor stay, once as many whole ones as asked for are there. A zero Keep
// drops nothing.
func (k Keep) Drop(live []Snapshot) []ID {
	if k == (Keep{}) {
		return nil
	}
	k.Last = max(k.Last, restorableAtLeast)
	left := []counter{
		{k.Last, func(s Snapshot) string { return string(s.ID) }, nil},
		{k.Hourly, func(s Snapshot) string { return s.Time.UTC().Format("2006-01-02T15") }, nil},
		{k.Daily, func(s Snapshot) string { return s.Time.UTC().Format(time.DateOnly) }, nil},
		{k.Weekly, week, nil},
		{k.Monthly, func(s Snapshot) string { return s.Time.UTC().Format("2006-01") }, nil},
	}
	ordered := slices.SortedFunc(slices.Values(live), func(a, b Snapshot) int { return compareNumbers(b.Number, a.Number) })
	whole := slices.ContainsFunc(live, func(s Snapshot) bool { return s.Damaged == "" })
	var drop []ID
	for _, s := range ordered {
		keep := s.Pin != "" || s.Damaged != "" && !whole
		for i := range left {
			keep = s.Damaged == "" && left[i].take(s) || keep
		}
		if !keep {
			drop = append(drop, s.ID)
		}
	}
	return drop
}

func week(s Snapshot) string {
	year, n := s.Time.UTC().ISOWeek()
	return fmt.Sprintf("%d-W%02d", year, n)
}

func compareNumbers(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// A counter keeps the first snapshot that it meets of each of so many spans.
type counter struct {
	left int
	span func(Snapshot) string
	seen []string
}

func (c *counter) take(s Snapshot) bool {
	span := c.span(s)
	if c.left == 0 || slices.Contains(c.seen, span) {
		return false
	}
	c.seen = append(c.seen, span)
	c.left--
	return true
}
