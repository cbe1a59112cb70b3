package load_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/load"
)

// numbered is a dump of bands of 1000 items each, the first with this number; access is that of each band.
func numbered(t *testing.T, first int, fetched bool, access ...int64) *item.Cache {
	t.Helper()
	c := content(t, len(access), 1000, func(i int) item.Item { return thousand(first + i) })
	for b, at := range access {
		c.Bands[b].Access, c.Bands[b].Fetched = at, fetched
	}
	return c
}

// Of several dumps the hottest bands of all are loaded first; what is of a later rank comes behind all others.
func TestHottestOfAll(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rank int
		want string
	}{
		// The first dump has items 0 to 2999 used last at 100, 50, 10; the second 3000 to 5999 at 90, 60, 5; the third one was never read.
		"of one rank": {0, "0 3 4"}, "the second behind the first": {1, "0 1 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 64})
			o := options(t, kit, numbered(t, 0, true, 100, 50, 10))
			o.Sources = append(o.Sources, load.Source{Cache: numbered(t, 3000, true, 90, 60, 5), Rank: c.rank},
				load.Source{Cache: numbered(t, 6000, false, 200), Rank: c.rank})
			o.Limit.Items = 3000
			r := run(t, o)
			var got []string
			for n := range 7 {
				if has(t, kit, n*1000, 1000) == 1000 {
					got = append(got, string(rune('0'+n)))
				}
			}
			if text := strings.Join(got, " "); text != c.want || r.Loaded != 3000 || r.Held != 7000 {
				t.Errorf("thousands %s are there, want %s: %+v", text, c.want, r)
			}
		})
	}
}

// has counts items that a server has.
func has(t *testing.T, kit *testkit.MemcachedServer, from, n int) (count int) {
	t.Helper()
	var text strings.Builder
	for i := from; i < from+n; i++ {
		it := thousand(i)
		text.WriteString("mg " + string(it.Key) + "\r\n")
	}
	for _, line := range kit.Ask(t, text.String()+"mn\r\n", "MN") {
		if line == "HD" {
			count++
		}
	}
	return count
}

// A key that two dumps have comes from the one that is loaded first: the fresher by its rank.
func TestTheFresherOne(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	valued := func(value string) *item.Cache {
		return content(t, 1, 100, func(i int) item.Item { it := thousand(i); it.Value = []byte(value); return it })
	}
	o := options(t, kit, valued("older"))
	o.Sources[0].Rank = 1
	o.Sources = append(o.Sources, load.Source{Cache: valued("newer")})
	r := run(t, o)
	it := thousand(50)
	if got := kit.Ask(t, "get "+string(it.Key)+"\r\nmn\r\n", "MN"); got[1] != "newer" || r.Loaded != 100 || r.Exists != 100 {
		t.Errorf("%v: %+v", got, r)
	}
}

// Coldest first is for a server that is fresh and in nobody's use.
func TestColdestFirstNeedsAFreshServer(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	o := options(t, kit, content(t, 1, 100, thousand))
	o.Order, o.InUse = load.ColdestFirst, true
	if _, err := load.New(o).Run(t.Context()); !errors.Is(err, load.ErrInUse) {
		t.Errorf("with clients: %v", err)
	}
	o.InUse = false
	run(t, o)
	if _, err := load.New(o).Run(t.Context()); !errors.Is(err, load.ErrInUse) {
		t.Errorf("with items: %v", err)
	}
	// One that was started for this load and holds something already, of a load that was killed or of a check of its
	// health, is loaded in the other order: better than cold.
	o.Fresh = true
	if r := run(t, o); r.Exists != 100 || r.Protected != 100 {
		t.Errorf("of a server of our own: %+v", *r)
	}
}

// An outcome is how a load ended.
type outcome struct {
	*load.Report
	err error
}

// begun is a load under way, and where it tells its end.
func begun(ctx context.Context, o load.Options) (*load.Load, chan outcome) {
	l, ended := load.New(o), make(chan outcome, 1)
	go func() {
		r, err := l.Run(ctx)
		ended <- outcome{r, err}
	}()
	return l, ended
}

// A server that is emptied meanwhile stays so, and what was loaded before that is not gone on with.
func TestFlushed(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 64})
	const n = 20_000
	o := options(t, kit, content(t, 10, n/10, thousand))
	o.Rate = 10_000
	l, ended := begun(t.Context(), o)
	testkit.Wait(t, 30*time.Second, func() (bool, string) { return l.Fraction() > 0.2, "nothing is loaded yet" })
	kit.Ask(t, "flush_all\r\nmn\r\n", "MN")
	if r := testkit.Recv(t, time.Minute, "the end of the load", ended); r.err != nil || !strings.Contains(r.Stopped, "flush_all") || r.Loaded > n/2+10_000 {
		t.Errorf("%+v %v", *r.Report, r.err)
	}
	far := l.Progress()
	o.From, o.Rate = &far, 0
	if r := run(t, o); r.Resumed != 0 || r.Loaded+r.Exists != n {
		t.Errorf("after a flush: %+v", r)
	}
}

// Progress of another dump, or of a filter of another name, counts for nothing.
func TestProgressOfAnother(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 64})
	const n = 10_000
	o := options(t, kit, content(t, 10, n/10, thousand))
	o.Rate = 10_000
	ctx, cancel := context.WithCancel(t.Context())
	l, ended := begun(ctx, o)
	testkit.Wait(t, 30*time.Second, func() (bool, string) { return l.Fraction() > 0.3, "nothing is loaded yet" })
	cancel()
	if r := testkit.Recv(t, time.Minute, "the end", ended); !errors.Is(r.err, context.Canceled) {
		t.Fatal(r.err)
	}
	far := l.Progress()
	o.From, o.Rate = &far, 0
	other := o
	other.Sources = []load.Source{{Cache: o.Sources[0].Cache, Name: "another filter"}}
	if r := run(t, other); r.Resumed != 0 || r.Exists < n/5 || r.Loaded+r.Exists != n {
		t.Errorf("another filter: %+v", r)
	}
	if r := run(t, o); r.Resumed < n/5 || r.Resumed+r.Loaded+r.Exists != n {
		t.Errorf("the same: %+v", r)
	}
}

// What clients have deleted before a load began counts where the server was started for it, and since a load that is
// gone on with: it could come back.
func TestDeletedBefore(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 64})
	o := options(t, kit, content(t, 2, 1000, thousand))
	kit.Ask(t, "delete any\r\nmn\r\n", "MN")
	o.InUse, o.Fresh = true, true
	if r := run(t, o); r.Loaded != 0 || !strings.Contains(r.Stopped, "delete") {
		t.Errorf("a fresh server: %+v", r)
	}
	o.Fresh, o.Limit.Items = false, 1000
	l := load.New(o)
	if _, err := l.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	far := l.Progress()
	o.From, o.Limit.Items = &far, 0
	kit.Ask(t, "delete any\r\nmn\r\n", "MN")
	if r := run(t, o); r.Resumed != 1000 || r.Loaded != 0 || !strings.Contains(r.Stopped, "delete") {
		t.Errorf("since the load before: %+v", r)
	}
	o.InUse = false
	if r := run(t, o); r.Loaded != 1000 {
		t.Errorf("nobody uses it: %+v", r)
	}
}
