//go:build bench

package cache

import (
	"os"
	"strconv"
	"testing"

	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/warmtest"
)

func TestMain(m *testing.M) {
	if os.Args[0] == drain.Role {
		os.Exit(drain.Main())
	}
	testkit.Main(m)
}

// TestBenchCache prints one table of all figures, after what each round gave.
func TestBenchCache(t *testing.T) {
	s := sizes{items: number(t, "BENCH_ITEMS", 300_000), rounds: number(t, "BENCH_N", 5),
		large: number(t, "BENCH_LARGE", 5_000_000), seconds: number(t, "BENCH_SECONDS", 10)}
	before := load1(t)
	var all table
	for _, part := range []func(*testing.T, sizes) []*row{rates, tool, latency, memory} {
		all = append(all, part(t, s)...)
	}
	all.print(t, s, before)
}

// sizes say how much is measured.
type sizes struct {
	items, rounds int
	large         int // items of the server whose dump's memory is measured
	seconds       int // of a round of clients' latency
}

func number(t testing.TB, name string, def int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return def
	}
	n, err := strconv.Atoi(text)
	must(t, err)
	if n < 1 {
		t.Fatalf("%s is %d, expected 1 or more", name, n)
	}
	return n
}

func server(t testing.TB, megabytes int) *testkit.MemcachedServer {
	t.Helper()
	return testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: megabytes, Extra: []string{"-o", "hashpower=20"}})
}

// roomy is enough for n items of the mix.
func roomy(n int) int { return 128 + n/1000 }

// fast is a rate of warm.budget.rate, in items a second, that has long to fall to one that would be felt.
const fast = 1_000_000_000

// options are of a dump as the program makes it, but for its rate.
func options(t testing.TB, kit *testkit.MemcachedServer) dump.Options {
	t.Helper()
	return dump.Options{Server: warmtest.Server(t, kit.Addr()), Dir: t.TempDir(), Scratch: t.TempDir(), Locks: t.TempDir(),
		Rate: fast, Limit: dump.Limit{Time: config.Defaults().Warm.Budget.Time}}
}
