//go:build bench

package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/warmtest"
)

// The load of the curve.
const (
	curveKeys     = 200_000
	curveSkew     = 1.05      // Zipf
	curveBefore   = 4_000_000 // requests that made the cache what it is when the measuring begins
	curveRate     = 2000      // requests a second of each node
	curveWorkers  = 16        // of each node
	curveDatabase = 2 * time.Millisecond
	curveRestart  = 15 // seconds from the start
)

// A node is a memcached with clients of its own, and a database behind.
type node struct {
	name   string
	kit    *testkit.MemcachedServer
	down   atomic.Bool
	begun  atomic.Int64   // in nanoseconds since 1970; 0: nothing is counted yet
	asked  []atomic.Int64 // by second
	missed []atomic.Int64 // of these, what the database was asked for
}

// TestBenchCurve draws docs/warm-curve.svg: what reaches the database behind a cache that is restarted cold,
// behind one that is loaded from its dump before it is used, and behind one that is not restarted. All three have
// the same load at the same time.
func TestBenchCurve(t *testing.T) {
	seconds := curveRestart + number(t, "BENCH_CURVE_SECONDS", 60)
	before := load1(t)
	order := history()
	steady, cold, warm := newNode(t, "not restarted", order, seconds), newNode(t, "restarted cold", order, seconds), newNode(t, "restarted, and warmed", order, seconds)
	nodes := []*node{steady, cold, warm}
	binary, place := testkit.Binary(t), t.TempDir()
	store := []string{"--store", "file://" + filepath.Join(place, "store")}
	must(t, os.Mkdir(filepath.Join(place, "store"), 0o755))
	verb(t, binary, append([]string{"store", "init"}, store...))

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := drive(ctx, nodes)
	verb(t, binary, append([]string{"warm", "dump", "--memcached", warm.kit.Addr(), "--scratch", place}, store...)) // at its default rate
	begun := time.Now()
	for _, n := range nodes {
		n.begun.Store(begun.UnixNano())
	}
	until(ctx, begun.Add(curveRestart*time.Second))
	cold.restart(t, func() {})
	at := time.Now()
	warm.restart(t, func() { verb(t, binary, append([]string{"warm", "load", "--memcached", warm.kit.Addr()}, store...)) })
	took := time.Since(at)
	until(ctx, begun.Add(time.Duration(seconds)*time.Second))
	stop()
	for range len(nodes) * curveWorkers {
		must(t, <-ended)
	}
	version, err := exec.Command("memcached", "--version").Output()
	must(t, err)
	draw(t, nodes, seconds, []string{
		fmt.Sprintf("%s on loopback; %d keys by Zipf(%.2f), values of 0.1 to 4 KB, %d items cached; %d requests a second;", strings.TrimSpace(string(version)),
			curveKeys, curveSkew, len(order), curveRate),
		fmt.Sprintf("a database that answers in %v; the dump was %d s old; the load was done %.1f s after the kill, and until then all", curveDatabase,
			curveRestart, took.Seconds()),
		fmt.Sprintf("requests went to the database. The machine's load was %s before and %s after.", before, load1(t)),
	})
}

// history is what the cache holds after many requests, the last used item last.
func history() (order []int) {
	draws := zipf(1)
	last := map[int]int{}
	for n := range curveBefore {
		last[int(draws.Uint64())] = n
	}
	for key := range last {
		order = append(order, key)
	}
	slices.SortFunc(order, func(a, b int) int { return last[a] - last[b] })
	return order
}

func zipf(seed uint64) *rand.Zipf {
	return rand.NewZipf(rand.New(rand.NewPCG(seed, 8)), curveSkew, 1, curveKeys-1)
}

func newNode(t *testing.T, name string, order []int, seconds int) *node {
	t.Helper()
	n := &node{name: name, kit: server(t, roomy(curveKeys)), asked: make([]atomic.Int64, seconds+1), missed: make([]atomic.Int64, seconds+1)}
	loop(t, n.kit.Addr(), 2, stores(len(order), func(i, _ int) warmtest.Item { return benchItem(order[i], curveKeys) }))
	return n
}

// restart kills the server, and keeps its clients away until it is there again and then has ended.
func (n *node) restart(t *testing.T, then func()) {
	n.down.Store(true)
	n.kit.Kill(t)
	n.kit.Start(t)
	then()
	n.down.Store(false)
}

// drive starts the clients of all nodes, each node's with the same sequences of keys. Each gives an error or nil.
func drive(ctx context.Context, nodes []*node) <-chan error {
	ended := make(chan error, len(nodes)*curveWorkers)
	for _, n := range nodes {
		for w := range curveWorkers {
			go func() { ended <- n.client(ctx, zipf(uint64(100+w))) }()
		}
	}
	return ended
}

// client asks at its part of the rate; what is not in the cache it takes from the database, and stores.
func (n *node) client(ctx context.Context, keys *rand.Zipf) error {
	beat := time.NewTicker(time.Second * curveWorkers / curveRate)
	defer beat.Stop()
	c := &client{addr: n.kit.Addr()}
	defer c.close()
	for {
		select {
		case <-beat.C:
		case <-ctx.Done():
			return nil
		}
		count := n.second()
		n.asked[count].Add(1)
		it := benchItem(int(keys.Uint64()), curveKeys)
		up := !n.down.Load()
		if up && c.get(it.Key) {
			continue
		}
		n.missed[count].Add(1)
		until(ctx, time.Now().Add(curveDatabase))
		if up {
			c.set(&it)
		}
	}
}

// second is that of the measuring; before and after it, one more than there are.
func (n *node) second() int {
	begun := n.begun.Load()
	if begun == 0 {
		return len(n.asked) - 1
	}
	return min(int(time.Since(time.Unix(0, begun))/time.Second), len(n.asked)-1)
}

func until(ctx context.Context, at time.Time) {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func verb(t *testing.T, binary string, words []string) {
	t.Helper()
	p := testkit.Start(t, append([]string{binary}, words...)...)
	if code := p.Wait(t, 5*time.Minute); code != 0 {
		t.Errorf("%v: %d: %s", words, code, p.Stderr(t))
	}
}

// draw writes the picture, and says in figures what it shows.
func draw(t *testing.T, nodes []*node, seconds int, caption []string) {
	t.Helper()
	p := picture{title: "Requests a second that reach the database behind a cache", mark: curveRestart, markText: "restart", caption: caption}
	for _, n := range nodes {
		line := series{name: n.name}
		var sum, asked int64
		for s := range seconds {
			line.values = append(line.values, float64(n.missed[s].Load()))
			if s >= curveRestart {
				sum, asked = sum+n.missed[s].Load(), asked+n.asked[s].Load()
			}
		}
		line.name += fmt.Sprintf(": %d in %d s", sum, seconds-curveRestart)
		p.lines = append(p.lines, line)
		t.Logf("%s: %d of %d requests after the restart reached the database; by second %.0f", n.name, sum, asked, line.values)
	}
	root, err := testkit.ModuleRoot()
	must(t, err)
	path := filepath.Join(root, "docs", "warm-curve.svg")
	must(t, os.WriteFile(path, []byte(p.svg()), 0o644))
	t.Logf("%s: %s", path, strings.Join(caption, " "))
}
