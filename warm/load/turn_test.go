package load_test

import (
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/load"
)

// A load of the coldest first that its time would cut has the hottest all the same: in the middle of its time it goes on
// from the other end. One that will be done in time does not.
func TestColdestFirstThatIsCut(t *testing.T) {
	const n, limit = 100_000, time.Hour
	light := func(i int) item.Item {
		it := thousand(i)
		it.Value, it.Size = it.Value[:100], it.Size-900
		return it
	}
	for name, c := range map[string]struct {
		speed float64 // times its time for all
		cut   bool
	}{"cut": {2, true}, "in time": {0.9, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 128})
			o := options(t, kit, content(t, 10, n/10, light))
			o.Order, o.Limit.Time = load.ColdestFirst, limit
			l := load.Timed(o, func(fraction float64) time.Duration { return time.Duration(c.speed * fraction * float64(limit)) })
			r, err := l.Run(t.Context())
			must(t, err)
			got := survivors(t, kit, n)
			t.Logf("%+v, survivors %v", *r, got)
			if got[0] != 100 || got[9] != 100 || (r.Stopped != "") != c.cut || (got[4]+got[5] == 0) != c.cut || (r.Protected > 0) != c.cut {
				t.Errorf("report %+v, survivors %v", r, got)
			}
		})
	}
}

// Where a load turns, what was on its way may be sent again, once it comes back there from the other end: it is no
// client's, and counts once.
func TestCountsOfATurn(t *testing.T) {
	t.Parallel()
	const n, limit = 40_000, time.Hour
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 128})
	o := options(t, kit, content(t, 10, n/10, thousand))
	// Its workers wait with what they have queued; slow at first, so that it turns, and then at once done.
	o.Order, o.Limit.Time, o.Rate, o.Conns = load.ColdestFirst, limit, 20_000, 8
	l := load.Timed(o, func(fraction float64) time.Duration {
		if fraction < 0.3 {
			return 0
		}
		return limit * 6 / 10
	})
	r, err := l.Run(t.Context())
	must(t, err)
	t.Logf("%+v", *r)
	if r.Stopped != "" || r.Protected == 0 || r.Exists != 0 || r.Loaded+r.Repeated != n || l.Fraction() != 1 {
		t.Errorf("report %+v, fraction %v", *r, l.Fraction())
	}
}

// Of what an earlier load has stored counts what is selected now.
func TestResumedOfLess(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	o := options(t, kit, content(t, 10, 100, thousand))
	first := load.New(o)
	if r, err := first.Run(t.Context()); err != nil || r.Loaded != 1000 {
		t.Fatalf("%+v %v", r, err)
	}
	from := first.Progress()
	o.From, o.Limit.Items = &from, 450
	if r := run(t, o); r.Selected != 450 || r.Resumed != 450 || r.Loaded != 0 {
		t.Errorf("report %+v", *r)
	}
	delete(from.Parts, o.Sources[0].Cache.ID+"/0/0")
	l := load.New(o)
	if r, err := l.Run(t.Context()); err != nil || r.Selected != 450 || r.Resumed != 350 || r.Exists != 100 || l.Fraction() != 1 {
		t.Errorf("report %+v %v, fraction %v", *r, err, l.Fraction())
	}
}
