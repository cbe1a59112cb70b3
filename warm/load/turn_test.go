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
