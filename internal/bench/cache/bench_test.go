//go:build bench

package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
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

// dumperRole is a process that dumps and nothing else, so that its memory can be measured.
const dumperRole = "bench-dumper"

func TestMain(m *testing.M) {
	switch os.Args[0] {
	case drain.Role:
		os.Exit(drain.Main())
	case dumperRole:
		os.Exit(dumper())
	}
	testkit.Main(m)
}

func dumper() int {
	var o dump.Options
	err := json.Unmarshal([]byte(os.Args[1]), &o)
	if err == nil {
		_, err = dump.Dump(context.Background(), o)
	}
	// Not ru_maxrss: that is inherited from whoever started the process.
	status, readErr := os.ReadFile("/proc/self/status")
	if err = errors.Join(err, readErr); err == nil {
		fmt.Println(strings.TrimSpace(regexp.MustCompile(`VmHWM:(.*)`).FindStringSubmatch(string(status))[1]))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func number(t testing.TB, name string, def int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return def
	}
	n, err := strconv.Atoi(text)
	must(t, err)
	return n
}

func server(t testing.TB, n int) *testkit.MemcachedServer {
	t.Helper()
	return testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 128 + n/1000, Extra: []string{"-o", "hashpower=20"}})
}

func options(t testing.TB, kit *testkit.MemcachedServer) dump.Options {
	t.Helper()
	return dump.Options{Server: warmtest.Server(t, kit.Addr()), Dir: t.TempDir(), Scratch: t.TempDir(), Locks: t.TempDir(), Rate: -1}
}

// TestBenchRates compares dump and load with loops that do the protocol's work alone.
func TestBenchRates(t *testing.T) {
	n, rounds := number(t, "BENCH_ITEMS", 300_000), number(t, "BENCH_N", 3)
	sets, gets := stores(n), fetches(n)
	rate := func(d time.Duration) float64 { return float64(n) / d.Seconds() / 1000 }
	for round := range rounds {
		var kit *testkit.MemcachedServer
		rawStore := time.Duration(1 << 62)
		for _, conns := range []int{1, 2, 4} {
			kit = server(t, n)
			rawStore = min(rawStore, loop(t, kit.Addr(), conns, sets))
			if conns < 4 {
				kit.Stop(t)
			}
		}
		rawFetch := time.Duration(1 << 62)
		for _, conns := range []int{1, 2, 4} {
			rawFetch = min(rawFetch, loop(t, kit.Addr(), conns, gets))
		}
		rawList := listing(t, kit.Addr())
		o := options(t, kit)
		r, err := dump.Dump(t.Context(), o)
		must(t, err)
		c, err := item.Open(o.Dir)
		must(t, err)
		to := server(t, n)
		l, err := load.New(load.Options{Server: warmtest.Server(t, to.Addr()), Cache: c}).Run(t.Context())
		must(t, err)
		must(t, c.Close())
		if r.Cache.Counts.Items != int64(n) || l.Loaded != int64(n) {
			t.Fatalf("%d dumped, %+v loaded, of %d", r.Cache.Counts.Items, *l, n)
		}
		dumped := r.Listing + r.Reading
		t.Logf("round %d, thousand items a second: raw store %.0f, load %.0f (%.2f) · raw list %.0f, raw fetch %.0f, dump %.0f"+
			" (%.2f of list and fetch, %.2f of fetch alone); listing %.2f s, reading %.2f s", round+1, rate(rawStore), rate(l.Storing),
			rawStore.Seconds()/l.Storing.Seconds(), rate(rawList), rate(rawFetch), rate(dumped),
			(rawList+rawFetch).Seconds()/dumped.Seconds(), rawFetch.Seconds()/dumped.Seconds(), r.Listing.Seconds(), r.Reading.Seconds())
		kit.Stop(t)
		to.Stop(t)
	}
}

// TestBenchTool compares with memcached-tool, at a third of the items.
func TestBenchTool(t *testing.T) {
	const tool = "/usr/share/memcached/scripts/memcached-tool"
	n := number(t, "BENCH_ITEMS", 300_000) / 3
	kit := server(t, n)
	loop(t, kit.Addr(), 2, stores(n))
	for range number(t, "BENCH_N", 3) {
		begun := time.Now()
		out, err := exec.Command(tool, kit.Addr(), "dump").Output()
		must(t, err)
		theirs := time.Since(begun)
		begun = time.Now()
		r, err := dump.Dump(t.Context(), options(t, kit))
		must(t, err)
		whole := time.Since(begun)
		ours := r.Listing + r.Reading
		t.Logf("%d items: memcached-tool dump %.2f s (%d bytes), ours %.2f s (%.1f times; listing %.2f s, reading %.2f s), with its first looks %.2f s", n, theirs.Seconds(), len(out),
			ours.Seconds(), theirs.Seconds()/ours.Seconds(), r.Listing.Seconds(), r.Reading.Seconds(), whole.Seconds())
	}
}

// TestBenchMemory tells what the dumping process takes at most.
func TestBenchMemory(t *testing.T) {
	n := number(t, "BENCH_ITEMS", 300_000)
	kit := server(t, n)
	loop(t, kit.Addr(), 2, stores(n))
	arg, err := json.Marshal(options(t, kit))
	must(t, err)
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{dumperRole, string(arg)}, Stderr: os.Stderr}
	begun := time.Now()
	most, err := cmd.Output()
	must(t, err)
	t.Logf("%d items in %.1f s: %s at most, %.1f s of processor", n, time.Since(begun).Seconds(), strings.TrimSpace(string(most)),
		(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
}

// TestBenchLatency measures the clients of a server that is dumped at the default rate: 2000 reads a second.
func TestBenchLatency(t *testing.T) {
	n := number(t, "BENCH_ITEMS", 300_000)
	kit := server(t, n)
	loop(t, kit.Addr(), 2, stores(n))
	for range number(t, "BENCH_N", 3) {
		quiet := clients(t, kit, n, 5*time.Second)
		o := options(t, kit)
		o.Rate, o.Limit.Time = dump.DefaultRate, 7*time.Second
		ended := make(chan error, 1)
		var r *dump.Report
		go func() {
			var err error
			r, err = dump.Dump(t.Context(), o)
			ended <- err
		}()
		busy := clients(t, kit, n, 5*time.Second)
		must(t, <-ended)
		t.Logf("clients' p50 %v p99 %v; while dumped p50 %v p99 %v; own probe %v -> %v, slowest rate %d", quiet.P50, quiet.P99, busy.P50, busy.P99,
			r.Latency.Before.P99, r.Latency.During.P99, r.Slowest)
	}
}

func clients(t *testing.T, kit *testkit.MemcachedServer, n int, d time.Duration) dump.Quantiles {
	t.Helper()
	const conns = 4
	results := make(chan []time.Duration, conns)
	for range conns {
		c, err := memcached.Dial(t.Context(), warmtest.Server(t, kit.Addr()), memcached.Options{})
		must(t, err)
		go func() {
			defer c.Close()
			results <- client(c, n, d)
		}()
	}
	var all []time.Duration
	for range conns {
		all = append(all, <-results...)
	}
	slices.Sort(all)
	if len(all) < 100 {
		t.Fatalf("%d reads in %v", len(all), d)
	}
	return dump.Quantiles{Samples: len(all), P50: all[len(all)/2], P99: all[len(all)*99/100]}
}

func client(c *memcached.Conn, n int, d time.Duration) (took []time.Duration) {
	beat := time.NewTicker(2 * time.Millisecond)
	defer beat.Stop()
	var r memcached.Reply
	for end := time.Now().Add(d); time.Now().Before(end); <-beat.C {
		begun := time.Now()
		if c.SendGet(benchItem(rand.IntN(n), n).Key) != nil || c.Flush() != nil || c.Read(&r) != nil {
			return nil
		}
		took = append(took, time.Since(begun))
	}
	return took
}
