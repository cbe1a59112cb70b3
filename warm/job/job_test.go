package job

import (
	"slices"
	"testing"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/warm/stored"
)

// live are snapshots, the oldest first, each named as mode:node:remark.
func live(t *testing.T, all ...[3]string) (list []snapshot.Snapshot, ids []snapshot.ID) {
	t.Helper()
	for i, one := range all {
		s := snapshot.Snapshot{ID: snapshot.NewID(time.Unix(int64(1000*i), 0), fence.Token(i)), Number: uint64(i + 1), Time: time.Unix(int64(1000*i), 0)}
		s.About.Mode = one[0]
		if one[1] != "" {
			s.About.Labels = map[string]string{NodeLabel: one[1]}
		}
		switch one[2] {
		case "pinned":
			s.Pin = "why"
		case "damaged":
			s.Damaged = "what"
		case "cold":
			s.About.Labels = map[string]string{NodeLabel: one[1], ColdLabel: "before"}
		}
		list, ids = append(list, s), append(ids, s.ID)
	}
	return list, ids
}

// Retention is of one node's dumps: others', pinned ones and snapshots of other kinds stay, and a damaged one
// takes nobody's place.
func TestOlder(t *testing.T) {
	m := stored.Mode
	list, ids := live(t, [3]string{m, "a"}, [3]string{m, "b"}, [3]string{"cold", "a"}, [3]string{m, "a", "pinned"}, [3]string{m, "a"},
		[3]string{m, "a"}, [3]string{m, "a", "damaged"}, [3]string{m, "a"}, [3]string{m, ""})
	if got, want := older(list, "a", 2), []snapshot.ID{ids[4], ids[0]}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := older(list, "b", 1); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// The newest whole dump of each node is chosen, also where its dumps lie in two stores.
func TestNewest(t *testing.T) {
	m := stored.Mode
	list, ids := live(t, [3]string{m, "a"}, [3]string{m, "b"}, [3]string{m, "a"}, [3]string{"cold", "a"}, [3]string{m, "b", "damaged"})
	chosen := func(at string) (got []snapshot.ID) {
		all := append(candidates(Source{Name: "one"}, list[:2], at), candidates(Source{Name: "two"}, list[2:], at)...)
		for _, h := range newest(all) {
			got = append(got, h.Snapshot.ID)
		}
		return got
	}
	for at, want := range map[string][]snapshot.ID{
		Latest: {ids[2], ids[1]}, string(ids[0]): {ids[0]}, "1970-01-01T00:20:00Z": {ids[1], ids[0]}, "1969-01-01T00:00:00Z": nil, string(ids[4]): nil,
	} {
		if got := chosen(at); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", at, got, want)
		}
	}
}

// A dump of a cache that has just started is taken first, and the full one before it fills in the rest; as soon as
// there is a full one again that one is taken alone.
func TestColdDumps(t *testing.T) {
	m := stored.Mode
	full, cold := [3]string{m, "a"}, [3]string{m, "a", "cold"}
	for _, c := range []struct {
		dumps      [][3]string
		taken, old []int
	}{
		{[][3]string{full, full, cold, cold}, []int{3, 1}, nil},
		{[][3]string{full, full, cold, cold, cold}, []int{4, 1}, []int{2}},
		{[][3]string{full, full, cold, full}, []int{3}, []int{2, 0}},
		{[][3]string{full, cold, full, cold}, []int{3, 2}, []int{1}},
		{[][3]string{cold}, []int{0}, nil},
	} {
		list, ids := live(t, c.dumps...)
		var taken, old []int
		for n, h := range newest(candidates(Source{}, list, Latest)) {
			if h.Rank != n {
				t.Errorf("rank %d of number %d", h.Rank, n)
			}
			taken = append(taken, slices.Index(ids, h.Snapshot.ID))
		}
		for _, id := range older(list, "a", 2) {
			old = append(old, slices.Index(ids, id))
		}
		if !slices.Equal(taken, c.taken) || !slices.Equal(old, c.old) {
			t.Errorf("%v: %v are taken and %v removed, want %v and %v", c.dumps, taken, old, c.taken, c.old)
		}
	}
}

// Cold is what has less than half of the dump before, and comes of a server that has just started.
func TestColdAfter(t *testing.T) {
	m := stored.Mode
	list, ids := live(t, [3]string{m, "a"}, [3]string{m, "b"}, [3]string{m, "a", "cold"})
	list[0].About.Labels[ItemsLabel] = "1000"
	for _, c := range []struct {
		node   string
		items  int64
		uptime time.Duration
		want   snapshot.ID
	}{
		{"a", 499, time.Minute, ids[0]}, {"a", 500, time.Minute, ""}, {"a", 0, coldFor, ""}, {"b", 0, time.Minute, ""}, {"c", 0, time.Minute, ""},
	} {
		if got := coldAfter(list, c.node, c.items, c.uptime); got != c.want {
			t.Errorf("%d items of %s after %v: %q, want %q", c.items, c.node, c.uptime, got, c.want)
		}
	}
}
