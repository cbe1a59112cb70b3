//go:build bench

package cache

import (
	"os/exec"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/load"
	"github.com/interlock-run/interlock/warm/warmtest"
)

// shapes are how many connections a raw loop is tried with; the best counts.
func shapes() []int { return []int{1, 2, 4} }

// round is what was measured side by side.
type round struct {
	store, load, loadAll          time.Duration
	fetch, list, both, dump, look time.Duration
}

// rates compares dump and load with loops that do the protocol's work alone.
func rates(t *testing.T, s sizes) []*row {
	t.Helper()
	const unit = "thousand items/s"
	loads := &row{name: "load : raw ms loop", unit: unit, aim: ">= 0.95", met: atLeast(0.95)}
	whole := &row{name: "load with looks and protecting : raw ms loop", unit: unit}
	both := &row{name: "dump : raw loop that lists and fetches", unit: unit, aim: ">= 0.90", met: atLeast(0.90)}
	parts := &row{name: "dump : raw list, and raw fetch in order of storing", unit: unit}
	fetch := &row{name: "dump : that raw fetch alone", unit: unit}
	look := &row{name: "dump with its first looks : raw loop that lists and fetches", unit: unit}
	sets, gets := stores(s.items, benchItem), fetches(s.items)
	rate := func(d time.Duration) float64 { return float64(s.items) / d.Seconds() / 1000 }
	for n := range s.rounds {
		r := once(t, s.items, sets, gets)
		loads.add(rate(r.load), rate(r.store))
		whole.add(rate(r.loadAll), rate(r.store))
		both.add(rate(r.dump), rate(r.both))
		parts.add(rate(r.dump), rate(r.list+r.fetch))
		fetch.add(rate(r.dump), rate(r.fetch))
		look.add(rate(r.look), rate(r.both))
		t.Logf("round %d, thousand items/s: raw store %.0f, load %.0f; raw list %.0f, raw fetch %.0f, raw both %.0f, dump %.0f; load of the machine %s",
			n+1, rate(r.store), rate(r.load), rate(r.list), rate(r.fetch), rate(r.both), rate(r.dump), load1(t))
	}
	return []*row{loads, whole, both, look, parts, fetch}
}

// once measures everything in turn: each try of ours comes right after one of a raw loop, as often as that has
// shapes, and the best of each counts.
func once(t *testing.T, n int, sets, gets [][]byte) (r round) {
	t.Helper()
	const never = 1 << 62
	r = round{never, never, never, never, never, never, never, never}
	kit := server(t, roomy(n))
	loop(t, kit.Addr(), 2, sets)
	r.list = listing(t, kit.Addr())
	var dir string
	for _, conns := range shapes() {
		r.fetch = min(r.fetch, loop(t, kit.Addr(), conns, gets))
		r.both = min(r.both, listAndFetch(t, kit.Addr(), conns))
		dir = r.dumpOnce(t, kit, n)
	}
	kit.Stop(t)
	for _, conns := range shapes() {
		kit = server(t, roomy(n))
		r.store = min(r.store, loop(t, kit.Addr(), conns, sets))
		kit.Stop(t)
		r.loadOnce(t, dir, n)
	}
	return r
}

// dumpOnce and loadOnce have one shape.
func (r *round) dumpOnce(t *testing.T, kit *testkit.MemcachedServer, n int) (dir string) {
	t.Helper()
	o := options(t, kit)
	begun := time.Now()
	made, err := dump.Dump(t.Context(), o)
	must(t, err)
	if made.Cache.Counts.Items != int64(n) {
		t.Fatalf("%+v dumped of %d", made.Cache.Counts, n)
	}
	r.look, r.dump = min(r.look, time.Since(begun)), min(r.dump, made.Listing+made.Reading)
	return o.Dir
}

func (r *round) loadOnce(t *testing.T, dir string, n int) {
	t.Helper()
	c, err := item.Open(dir)
	must(t, err)
	to := server(t, roomy(n))
	l, err := load.New(load.Options{Server: warmtest.Server(t, to.Addr()), Sources: []load.Source{{Cache: c}}}).Run(t.Context())
	must(t, err)
	must(t, c.Close())
	if l.Loaded != int64(n) {
		t.Fatalf("%+v loaded of %d", *l, n)
	}
	r.load, r.loadAll = min(r.load, l.Storing), min(r.loadAll, l.Took)
	to.Stop(t)
}

// tool compares with memcached-tool, in three rounds at most: that one takes its time.
func tool(t *testing.T, s sizes) []*row {
	t.Helper()
	const program = "/usr/share/memcached/scripts/memcached-tool"
	r := &row{name: "dump : memcached-tool dump", unit: "thousand items/s", aim: ">= 15", met: atLeast(15)}
	n := s.items
	kit := server(t, roomy(n))
	loop(t, kit.Addr(), 2, stores(n, benchItem))
	for range min(s.rounds, 3) {
		begun := time.Now()
		out, err := exec.Command(program, kit.Addr(), "dump").Output()
		must(t, err)
		theirs := time.Since(begun)
		if len(out) < n {
			t.Fatalf("memcached-tool gave %d bytes of %d items", len(out), n)
		}
		made, err := dump.Dump(t.Context(), options(t, kit))
		must(t, err)
		r.add(float64(n)/(made.Listing+made.Reading).Seconds()/1000, float64(n)/theirs.Seconds()/1000)
	}
	kit.Stop(t)
	return []*row{r}
}
