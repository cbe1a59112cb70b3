package load_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/ring"
	"github.com/interlock-run/interlock/warm/warmtest"
)

// fleet is some real servers and the keys of a client that uses them by a rule.
type fleet struct {
	kits  []*testkit.MemcachedServer
	conns []*memcached.Conn
	rule  ring.Rule
}

func (f *fleet) grow(t *testing.T) {
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 64})
	c, err := memcached.Dial(t.Context(), warmtest.Server(t, kit.Addr()), memcached.Options{Timeout: time.Minute})
	must(t, err)
	t.Cleanup(c.Close)
	f.kits, f.conns = append(f.kits, kit), append(f.conns, c)
}

func (f *fleet) servers(n int) (all []ring.Server) {
	for _, kit := range f.kits[:n] {
		all = append(all, ring.Server{Name: kit.Addr()})
	}
	return all
}

func (f *fleet) ring(t *testing.T, n int) *ring.Ring {
	r, err := ring.New(f.rule, f.servers(n))
	must(t, err)
	return r
}

func fleetKey(i int) []byte { return fmt.Appendf(nil, "user:%d", i) }

// store puts n items where a client of so many nodes does.
func (f *fleet) store(t *testing.T, nodes, n int) {
	r := f.ring(t, nodes)
	for i := range n {
		must(t, f.conns[r.Node(fleetKey(i))].SendAdd(fleetKey(i), fmt.Appendf(nil, "value %d", i), 0, memcached.Expiry{}))
	}
	var reply memcached.Reply
	for _, c := range f.conns[:nodes] {
		must(t, c.SendNoop())
		must(t, c.Flush())
		must(t, c.Read(&reply))
		if reply.Status != memcached.End {
			t.Fatalf("%+v", reply)
		}
	}
}

// hits is the hit rate of a client of so many nodes.
func (f *fleet) hits(t *testing.T, nodes, n int) float64 {
	r, hits := f.ring(t, nodes), 0
	var reply memcached.Reply
	for i := range n {
		c := f.conns[r.Node(fleetKey(i))]
		must(t, c.SendGet(fleetKey(i)))
		must(t, c.Flush())
		must(t, c.Read(&reply))
		if string(reply.Value) == fmt.Sprintf("value %d", i) {
			hits++
		}
	}
	return float64(hits) / float64(n)
}

// keys are some of those of a dump.
func keys(t *testing.T, c *item.Cache, most int) (all [][]byte) {
	for b := range c.Bands {
		for p := range c.Bands[b].Parts {
			r, err := c.Part(b, p, 0)
			must(t, err)
			for len(all) < most {
				var i item.Item
				if err := r.Next(&i); err == io.EOF {
					break
				} else {
					must(t, err)
				}
				all = append(all, i.Key)
			}
			must(t, r.Close())
		}
	}
	return all
}

// A ring of three grows to four: the new node has its share before anybody asks it. Then it shrinks to three
// again, and the share of the node that leaves is with the others.
func TestRingGrowsAndShrinks(t *testing.T) {
	t.Parallel()
	const n = 12_000
	f := &fleet{rule: ring.Ch3}
	for range 4 {
		f.grow(t)
	}
	f.store(t, 3, n)
	var dumps []*item.Cache
	held := map[string][][]byte{}
	for node, s := range f.servers(3) {
		dumps = append(dumps, dumped(t, f.kits[node]))
		held[s.Name] = keys(t, dumps[node], 500)
	}
	fits, err := ring.Compare(ring.Rules(), ring.Lists(f.servers(3), nil), held)
	must(t, err)
	fit, err := ring.Pick(fits, f.servers(3), held)
	if err != nil || fit.Rule != f.rule {
		t.Fatalf("the rule of the client is %s, found %s %v", f.rule, fit.Rule, err)
	}
	cold := f.hits(t, 4, n)
	four := f.ring(t, 4)
	for _, c := range dumps {
		o := options(t, f.kits[3], c)
		o.Sources[0].Keys, o.Sources[0].Share = func(key []byte) bool { return four.Node(key) == 3 }, 0.25
		run(t, o)
	}
	warm := f.hits(t, 4, n)
	t.Logf("hit rate of four nodes: %.3f with a cold one, %.3f with a warm one", cold, warm)
	if cold > 0.8 || warm != 1 {
		t.Errorf("hit rate %.3f with a cold node, %.3f with a warm one: want about 0.75 and 1", cold, warm)
	}
	shrink(t, f, n)
}

func shrink(t *testing.T, f *fleet, n int) {
	for _, kit := range f.kits[:3] { // what moved to the fourth node is no longer with the others
		kit.Ask(t, "flush_all\r\n", "OK")
	}
	testkit.Wait(t, 10*time.Second, func() (bool, string) { // flush_all is by whole seconds
		lines := f.kits[0].Ask(t, "ms probe 1 T1\r\nx\r\nmg probe\r\nmn\r\n", "MN")
		return lines[1] == "HD", fmt.Sprint(lines)
	})
	cold := f.hits(t, 3, n)
	last := dumped(t, f.kits[3])
	three := f.ring(t, 3)
	var loaded int64
	for node := range 3 {
		o := options(t, f.kits[node], last)
		o.Sources[0].Keys = func(key []byte) bool { return three.Node(key) == node }
		loaded += run(t, o).Loaded
	}
	warm := f.hits(t, 3, n)
	t.Logf("hit rate of three nodes: %.3f before, %.3f after %d items of the node that left", cold, warm, loaded)
	if cold != 0 || loaded != last.Counts.Items || warm != float64(loaded)/float64(n) {
		t.Errorf("hit rate %.3f before, %.3f after %d of %d items", cold, warm, loaded, last.Counts.Items)
	}
}
