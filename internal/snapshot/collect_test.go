package snapshot

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/fence"
)

func fenceToken(n uint64) fence.Token { return fence.Token(n) }

// live makes snapshots at the given times, in the order of their numbers.
func live(times ...string) []Snapshot {
	var list []Snapshot
	for i, s := range times {
		at, err := time.Parse("2006-01-02T15:04", s)
		if err != nil {
			panic(err)
		}
		list = append(list, Snapshot{ID: ID(s), Number: uint64(i + 1), Time: at})
	}
	return list
}

func TestKeep(t *testing.T) {
	all := live("2026-01-31T23:00", "2026-02-01T01:00", "2026-02-01T01:30", "2026-02-02T01:00", "2026-02-09T01:00", "2026-02-09T02:00")
	back := live("2026-02-02T01:00", "2026-02-02T02:00", "2026-01-01T00:00")
	for _, c := range []struct {
		name string
		keep Keep
		live []Snapshot
		drop []int
	}{
		{"nothing said", Keep{}, all, nil},
		{"last", Keep{Last: 2}, all, []int{3, 2, 1, 0}},
		{"at least one", Keep{Daily: 0, Monthly: 1}, all[:1], nil},
		{"hourly", Keep{Hourly: 4}, all, []int{1, 0}},
		{"daily", Keep{Daily: 3}, all, []int{4, 1, 0}},
		{"weekly", Keep{Weekly: 2}, all, []int{4, 2, 1, 0}},
		{"monthly", Keep{Monthly: 9}, all, []int{4, 3, 2, 1}},
		{"clock went back", Keep{Last: 1}, back, []int{1, 0}},
		{"clock went back, daily", Keep{Daily: 1}, back, []int{1, 0}},
	} {
		var want []ID
		for _, i := range c.drop {
			want = append(want, c.live[i].ID)
		}
		if got := c.keep.Drop(c.live); !slices.Equal(got, want) {
			t.Errorf("%s: dropped %q, want %q", c.name, got, want)
		}
	}
}

func TestKeepSparesPinnedAndRestorable(t *testing.T) {
	all := live("2026-02-01T01:00", "2026-02-02T01:00", "2026-02-03T01:00", "2026-02-04T01:00")
	all[0].Pin, all[3].Damaged = "audit", "frame"
	if got := (Keep{Last: 1}).Drop(all); !slices.Equal(got, []ID{all[3].ID, all[1].ID}) {
		t.Errorf("dropped %q, want the damaged one and the older whole one", got)
	}
	for i := range all {
		all[i].Damaged, all[i].Pin = "frame", ""
	}
	if got := (Keep{Last: 1}).Drop(all); len(got) != 0 {
		t.Errorf("dropped %q, though none is known to be restorable", got)
	}
}

func TestForgetRefuses(t *testing.T) { eachForm(t, testForgetRefuses) }

func testForgetRefuses(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	files := []*testFile{newFile("a", []byte("x"))}
	a, b := takes(t, r, Holder{}, files), takes(t, r, Holder{}, files)
	if _, err := r.Pin(t.Context(), Holder{}, a.ID, "audit"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Forget(t.Context(), Holder{}, []ID{a.ID}, false); err == nil || !strings.Contains(err.Error(), "audit") {
		t.Errorf("a pinned one: %v", err)
	}
	if _, err := r.Pin(t.Context(), Holder{}, a.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Forget(t.Context(), Holder{}, []ID{a.ID, b.ID}, false); err == nil {
		t.Error("the last ones were forgotten without force")
	}
	if c, err := r.Forget(t.Context(), Holder{}, []ID{a.ID}, false); err != nil || len(c.Live) != 1 {
		t.Errorf("%d live, %v", len(c.Live), err)
	}
}

// What a live snapshot took over from a dead one stays; the rest goes, and what is being uploaded stays.
func TestCollect(t *testing.T) { eachForm(t, testCollect) }

func testCollect(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	keep := newFile("keep", noise(1, packFull+5<<20))
	first := takes(t, r, etcd(5), []*testFile{keep, newFile("z", noise(2, 2*packFull))})
	last := Pack{first.ID, 0} // holds only what no other snapshot names
	for _, there := st.peek(last.key()); there; _, there = st.peek(last.key()) {
		last.Number++
	}
	last.Number--
	second := takes(t, r, etcd(5), []*testFile{keep})
	if _, err := r.Forget(t.Context(), etcd(5), []ID{first.ID}, false); err != nil {
		t.Fatal(err)
	}
	under, old := NewID(testNow(), 5), NewID(testNow(), 4)
	st.objects[Pack{under, 0}.key()], st.objects[Pack{old, 0}.key()] = []byte("x"), []byte("x")
	dry, err := r.Collect(t.Context(), etcd(5), true)
	if err != nil {
		t.Fatal(err)
	}
	before := len(st.objects)
	s, err := r.Collect(t.Context(), etcd(5), false)
	if err != nil || s.Deleted != dry.Deleted || before-len(st.objects) != s.Deleted || s.Kept == 0 {
		t.Errorf("%+v, %v, %d objects gone, dry run %+v", s, err, before-len(st.objects), dry)
	}
	if !slices.Equal(s.Current, []ID{under}) {
		t.Errorf("uploads under the current token: %q, want %q", s.Current, under)
	}
	for key, want := range map[string]bool{
		Pack{under, 0}.key(): true, Pack{old, 0}.key(): false, Pack{first.ID, 0}.key(): true,
		last.key(): false, first.ID.manifestKey(): false,
	} {
		if _, there := st.peek(key); there != want {
			t.Errorf("%s: there %v, want %v", key, there, want)
		}
	}
	sameTree(t, readAll(t, r, second), []*testFile{keep})
}

// A manifest that cannot be read stops the collection before anything is deleted.
func TestCollectNeedsEveryManifest(t *testing.T) { eachForm(t, testCollectNeedsEveryManifest) }

func testCollectNeedsEveryManifest(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	files := []*testFile{newFile("a", noise(1, 1000))}
	a := takes(t, r, Holder{}, files)
	b := takes(t, r, Holder{}, files)
	if _, err := r.Forget(t.Context(), Holder{}, []ID{a.ID}, false); err != nil {
		t.Fatal(err)
	}
	st.objects[as.namesPacks(b.ID)][20] ^= 1
	before := len(st.objects)
	if _, err := r.Collect(t.Context(), Holder{}, false); err == nil || len(st.objects) != before {
		t.Errorf("%v, %d objects of %d left", err, len(st.objects), before)
	}
}

// The log of commits stays short, and the dead are forgotten once nothing of them is left.
func TestTidy(t *testing.T) { eachForm(t, testTidy) }

func testTidy(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	r.windows = windows{publish: 3, dead: 5}
	for i := range 30 {
		f := newFile("a", noise(uint64(i), 1000))
		f.File.Inode = uint64(i)
		takes(t, r, Holder{}, []*testFile{f})
		c, err := r.Catalog(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Forget(t.Context(), Holder{}, (Keep{Last: 2}).Drop(c.Live), false); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Collect(t.Context(), Holder{}, false); err != nil {
			t.Fatal(err)
		}
	}
	c, err := r.Catalog(t.Context())
	if err != nil || len(c.Dead) > 5 || len(c.Live) != 2 || len(st.objects) > 2+7+2*(1+as.objects()) {
		t.Errorf("%d dead, %d live, %d objects, %v", len(c.Dead), len(c.Live), len(st.objects), err)
	}
}
