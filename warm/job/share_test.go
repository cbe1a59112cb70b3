package job

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/ring"
)

func nodes(names ...string) (list []ring.Server) {
	for _, n := range names {
		list = append(list, ring.Server{Name: n})
	}
	return list
}

func key(i int) []byte { return fmt.Appendf(nil, "user:%d", i) }

// dumpOf is a dump of one place of a ring over so many nodes, under a name.
func dumpOf(t *testing.T, name string, at int, list []ring.Server, place int) *opened {
	t.Helper()
	r, err := ring.New(ring.Ch3, list)
	if err != nil {
		t.Fatal(err)
	}
	o := &opened{Held: Held{Node: name, Snapshot: snapshot.Snapshot{ID: snapshot.ID(name), Time: time.Unix(int64(at), 0)}}, cache: &item.Cache{ID: name}}
	for i := range 2000 {
		if r.Node(key(i)) == place {
			o.keys = append(o.keys, key(i))
		}
	}
	return o
}

// taken counts, for each of 2000 keys, the dumps that hold it and that it would be taken from.
func taken(t *testing.T, r Ring, all []*opened) (count [2000]int, notes string) {
	t.Helper()
	var said []string
	sources, err := r.shares(all, func(text string) { said = append(said, text) })
	if err != nil {
		t.Fatal(err)
	}
	for at, s := range sources {
		for _, other := range sources[:at] { // what a node has kept of another's is not taken from it
			for i := range count {
				if s.Keys(key(i)) && other.Keys(key(i)) {
					t.Fatalf("key %d would be taken from two dumps", i)
				}
			}
		}
		o := all[slices.IndexFunc(all, func(o *opened) bool { return o.cache == s.Cache })]
		mine := 0
		for i := range count {
			if s.Keys(key(i)) && slices.ContainsFunc(o.keys, func(k []byte) bool { return string(k) == string(key(i)) }) {
				count[i]++
				mine++
			}
		}
		if part := float64(mine) / float64(len(o.keys)); s.Share < part || s.Share > part+0.02 {
			t.Errorf("share of %s: %.3f, it is %.3f", o.Node, s.Share, part)
		}
	}
	return count, strings.Join(said, "\n")
}

// wanted checks that each of our keys is taken once, and no other.
func wanted(t *testing.T, what string, now []ring.Server, self int, count [2000]int) {
	t.Helper()
	r, err := ring.New(ring.Ch3, now)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range count {
		if want := r.Node(key(i)) == self; n > 1 || (n == 1) != want {
			t.Fatalf("%s: key %d is taken %d times, ours: %v", what, i, n, want)
		}
	}
}

// A node that joins, one that has another name now, and those that stay when the last one leaves: each of their keys
// comes from one dump, and keys that are left over at another node from none.
func TestShares(t *testing.T) {
	three, four := nodes("a", "b", "c"), nodes("a", "b", "c", "d")
	old := []*opened{dumpOf(t, "a", 1, three, 0), dumpOf(t, "b", 1, three, 1), dumpOf(t, "c", 1, three, 2)}
	auto := func(self string, list []ring.Server) Ring { return Ring{Rule: AutoRule, Nodes: list, Self: self} }

	count, _ := taken(t, auto("d", four), old)
	wanted(t, "a node that joins", four, 3, count)

	renamed := nodes("a", "x", "c")
	count, _ = taken(t, auto("x", renamed), old)
	wanted(t, "a node that is called otherwise now", renamed, 1, count)

	all := []*opened{dumpOf(t, "a", 1, four, 0), dumpOf(t, "b", 1, four, 1), dumpOf(t, "c", 1, four, 2), dumpOf(t, "d", 1, four, 3)}
	count, _ = taken(t, auto("b", three), all)
	wanted(t, "a node that stays", three, 1, count)

	// The last one left long ago: the others hold what was its own, and its own dump is out of date.
	late := append(slices.Clone(old), dumpOf(t, "d", 1, four, 3))
	late[3].Snapshot.Time = time.Unix(0, 0)
	late[3].keys = append(late[3].keys, dumpOf(t, "", 0, four, 2).keys...) // of no one place
	count, notes := taken(t, auto("b", three), late)
	wanted(t, "a dump that is out of date", three, 1, count)
	if !strings.Contains(notes, `"d" is left out`) {
		t.Errorf("notes %q", notes)
	}

	// Two dumps of one place, of the node as it was called and as it is called now.
	twice := append(slices.Clone(old), dumpOf(t, "x", 2, three, 1))
	count, notes = taken(t, auto("x", renamed), twice)
	wanted(t, "two dumps of one place", renamed, 1, count)
	if !strings.Contains(notes, `"b" is left out`) {
		t.Errorf("notes %q", notes)
	}
}

// What was loaded by one filter counts for nothing by another.
func TestNamesOfFilters(t *testing.T) {
	three := nodes("a", "b", "c")
	o := dumpOf(t, "a", 1, three, 0)
	a := Ring{Nodes: three, Self: "b"}
	b := Ring{Nodes: three, Self: "c"}
	fit := ring.Fit{Rule: ring.Ch3}
	if a.named(o, fit) == b.named(o, fit) || a.named(o, fit) == a.named(o, ring.Fit{Rule: ring.Jump}) {
		t.Errorf("%s %s", a.named(o, fit), b.named(o, fit))
	}
}
