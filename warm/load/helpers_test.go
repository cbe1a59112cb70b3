package load_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/load"
	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/warmtest"
)

func TestMain(m *testing.M) {
	if os.Args[0] == drain.Role {
		os.Exit(drain.Main())
	}
	testkit.MainWaiting(m, 4)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// content makes a cache of bands of so many items each, from their numbers; all bands count as fetched.
func content(t testing.TB, bands, each int, of func(i int) item.Item) *item.Cache {
	t.Helper()
	c, _ := contentIn(t, bands, each, of)
	return c
}

func contentIn(t testing.TB, bands, each int, of func(i int) item.Item) (*item.Cache, string) {
	t.Helper()
	dir := t.TempDir()
	w, err := item.Create(dir, bands)
	must(t, err)
	defer w.Close()
	c := item.Cache{Began: time.Now().Unix(), Ended: time.Now().Unix()}
	for b := range bands {
		var p *item.PartWriter
		for i := b * each; i < (b+1)*each; i++ {
			if p == nil {
				p, err = w.Part(b)
				must(t, err)
			}
			it := of(i)
			must(t, p.Add(&it))
			if p.Full() {
				must(t, p.Close())
				p = nil
			}
		}
		if p != nil {
			must(t, p.Close())
		}
		c.Bands = append(c.Bands, item.Band{Fetched: true})
	}
	_, err = w.Finish(c)
	must(t, err)
	return open(t, dir), dir
}

func open(t testing.TB, dir string) *item.Cache {
	t.Helper()
	c, err := item.Open(dir)
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

// thousand is an item of 1000 bytes, of those that the table of survivors is made of.
func thousand(i int) item.Item {
	key := fmt.Appendf(nil, "k%07d", i)
	return item.Item{Key: key, Value: []byte(strings.Repeat("x", 1000)), Fetched: true, Size: int64(48 + 8 + len(key) + 1 + 1000 + 2)}
}

// survivors tells how many percent of each tenth of n items a server has.
func survivors(t testing.TB, kit *testkit.MemcachedServer, n int) (percent [10]int) {
	t.Helper()
	c, err := memcached.Dial(t.Context(), warmtest.Server(t, kit.Addr()), memcached.Options{Timeout: time.Minute})
	must(t, err)
	defer c.Close()
	var r memcached.Reply
	for d := range 10 {
		have, each := 0, n/10
		for from := d * each; from < (d+1)*each; from += 100 {
			for i := from; i < from+100; i++ {
				it := thousand(i)
				must(t, c.SendGet(it.Key))
			}
			must(t, c.Flush())
			for range 100 {
				must(t, c.Read(&r))
				if r.Status == memcached.Value {
					have++
				}
			}
		}
		percent[d] = have * 100 / each
	}
	return percent
}

// strangers stores n items of 1000 bytes that nobody has loaded.
func strangers(t testing.TB, kit *testkit.MemcachedServer, n int) {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "ms new%d 1000 q\r\n%s\r\n", i, strings.Repeat("y", 1000))
	}
	kit.Ask(t, b.String()+"mn\r\n", "MN")
}

func options(t testing.TB, kit *testkit.MemcachedServer, c *item.Cache) load.Options {
	t.Helper()
	return load.Options{Server: warmtest.Server(t, kit.Addr()), Sources: []load.Source{{Cache: c}}, Note: func(text string) { t.Log("note: " + text) }}
}

func run(t testing.TB, o load.Options) *load.Report {
	t.Helper()
	r, err := load.New(o).Run(t.Context())
	must(t, err)
	t.Logf("%+v", *r)
	return r
}

// dumped dumps a server.
func dumped(t testing.TB, kit *testkit.MemcachedServer) *item.Cache {
	t.Helper()
	o := dump.Options{Server: warmtest.Server(t, kit.Addr()), Dir: t.TempDir(), Scratch: t.TempDir(), Locks: t.TempDir(), Rate: -1,
		Drain: drain.Options{Stall: 20 * time.Second}, Note: func(text string) { t.Log("note: " + text) }}
	r, err := dump.Dump(t.Context(), o)
	must(t, err)
	t.Logf("dump: listing %v, reading %v, %d items", r.Listing, r.Reading, r.Cache.Counts.Items)
	return open(t, o.Dir)
}
