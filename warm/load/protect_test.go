package load_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// The pass that protects the hottest reads items that clients may have marked as out of date: the recache token of
// such a one, which any reader takes, is given back.
func TestProtectionGivesTokensBack(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	o := options(t, kit, content(t, 1, 600, thousand))
	for _, n := range []int{0, 300, 599} {
		kit.Ask(t, "set "+string(thousand(n).Key)+" 0 0 1\r\nx\r\nmd "+string(thousand(n).Key)+" I\r\nmn\r\n", "MN")
	}
	o.InUse = true
	if r := run(t, o); r.Exists != 3 || r.Protected != 600 {
		t.Errorf("%+v", *r)
	}
	for _, n := range []int{0, 300, 599} {
		first := kit.Ask(t, "mg "+string(thousand(n).Key)+" t\r\nmn\r\n", "MN")[0]
		second := kit.Ask(t, "mg "+string(thousand(n).Key)+" t\r\nmn\r\n", "MN")[0]
		if first != "HD t-1 W X" && first != "HD t-1 X W" || second != "HD t-1 Z X" && second != "HD t-1 X Z" {
			t.Errorf("item %d: the next client gets %q, the one after it %q", n, first, second)
		}
	}
}

// It ends by the limit of time, too: the service waits for it. The source is slow once some thousand items are
// loaded, so both rounds over these take longer than the limit on any machine.
func TestProtectionEnds(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	o := options(t, kit, content(t, 10, 2000, thousand))
	o.Limit.Time = 2500 * time.Millisecond
	const quick = 5000
	var asked atomic.Int64
	o.Sources[0].Keys = func([]byte) bool {
		if asked.Add(1) > quick {
			<-time.After(2 * time.Millisecond)
		}
		return true
	}
	r := run(t, o)
	if r.Stopped == "" || r.Loaded == 0 || r.Protected >= r.Loaded {
		t.Errorf("%+v", *r)
	}
}
