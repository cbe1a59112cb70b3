package job

import (
	"slices"
	"testing"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/warm/ring"
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
		all := newest(nil, Source{Name: "one"}, list[:2], at)
		for _, h := range newest(all, Source{Name: "two"}, list[2:], at) {
			got = append(got, h.Snapshot.ID)
		}
		return got
	}
	for at, want := range map[string][]snapshot.ID{
		Latest: {ids[2], ids[1]}, string(ids[0]): {ids[0]}, "1970-01-01T00:20:00Z": {ids[0], ids[1]}, "1969-01-01T00:00:00Z": nil, string(ids[4]): nil,
	} {
		if got := chosen(at); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", at, got, want)
		}
	}
}

// A list that explains everything is none, and the same list is tried once.
func TestLists(t *testing.T) {
	nodes := func(names ...string) (list []ring.Server) {
		for _, n := range names {
			list = append(list, ring.Server{Name: n})
		}
		return list
	}
	held := func(names ...string) (all []Held) {
		for _, n := range names {
			all = append(all, Held{Node: n})
		}
		return all
	}
	for _, c := range []struct {
		now  []ring.Server
		held []Held
		want [][]ring.Server
	}{
		{nodes("a", "b"), held("a", "b"), [][]ring.Server{nodes("a", "b")}},
		{nodes("a", "b", "c"), held("b", "a"), [][]ring.Server{nodes("a", "b", "c"), nodes("a", "b")}},
		{nodes("a", "b"), held("a", "b", "c"), [][]ring.Server{nodes("a", "b"), nodes("a", "b", "c")}},
		{nodes("a", "b"), held("a"), [][]ring.Server{nodes("a", "b")}},
		{nodes("a"), held("a", ""), nil},
	} {
		if got := lists(Ring{Nodes: c.now}, c.held); !slices.EqualFunc(got, c.want, slices.Equal[[]ring.Server]) {
			t.Errorf("%v with dumps of %v: %v, want %v", c.now, c.held, got, c.want)
		}
	}
}
