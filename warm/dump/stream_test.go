package dump

import (
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/warmtest"
)

func TestAmple(t *testing.T) {
	for _, c := range []struct {
		limit Limit
		rate  int
		want  bool
	}{
		{Limit{}, 1000, true},
		{Limit{Time: time.Minute}, -1, true},
		{Limit{Time: time.Minute}, 60, false}, // 16.7 s of 60
		{Limit{Time: time.Minute}, 67, true},  // just under 15
		{Limit{Time: time.Hour}, 2, true},
		{Limit{Items: 1 << 40}, -1, false},
		{Limit{Bytes: 1 << 60}, -1, false},
	} {
		d := &dump{Options: Options{Limit: c.limit, Rate: c.rate}, first: memcached.State{Items: 1000}}
		if got := d.ample(); got != c.want {
			t.Errorf("1000 items at %d a second within %+v: ample %v", c.rate, c.limit, got)
		}
	}
}

// A dump that had ample time, and then has not, reads what is left hottest first like one that never had.
func TestStreamThatBecomesLate(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 128})
	server := warmtest.Server(t, kit.Addr())
	const n = 20_000
	warmtest.Fill(t, server, n, warmtest.Mixed) // the first half is used
	o := Options{Server: server, Dir: t.TempDir(), Scratch: t.TempDir(), Locks: t.TempDir(), Rate: 800,
		Drain: drain.Options{Stall: 20 * time.Second}, Limit: Limit{Time: 200 * time.Second}}
	d := &dump{Options: o.filled(), begun: time.Now().Add(-188 * time.Second)}
	r, err := d.run(t.Context(), &Lock{})
	if err != nil {
		t.Fatal(err)
	}
	if !d.ample() {
		t.Fatal("it was not streamed")
	}
	got := r.Cache.Counts
	if r.Cache.Cut == "" || got.Items == 0 || got.NotReached != n-got.Items {
		t.Errorf("cut %q, counts %+v", r.Cache.Cut, got)
	}
	c, err := item.Open(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for n, b := range c.Bands {
		if len(b.Parts) > 0 && !b.Fetched {
			t.Errorf("band %d has items that were never used, and the dump was cut before the hottest half was read: %+v", n, b.Parts)
		}
	}
}
