package dump_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/warmtest"
)

func TestMain(m *testing.M) {
	switch {
	case os.Args[0] == drain.Role:
		os.Exit(drain.Main())
	case os.Args[0] == dumperRole:
		os.Exit(dumper(os.Args[1:]))
	}
	testkit.MainWithMounts(m)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// options are those of a dump at full speed, patient with a busy machine.
func options(t testing.TB, s memcached.Server) dump.Options {
	t.Helper()
	return dump.Options{Server: s, Dir: t.TempDir(), Scratch: t.TempDir(), Locks: t.TempDir(), Rate: -1,
		Drain: drain.Options{Stall: 20 * time.Second}, Note: func(text string) { t.Log("note: " + text) }}
}

// items reads all that was dumped, by key.
func items(t testing.TB, dir string) map[string]item.Item {
	t.Helper()
	c, err := item.Open(dir)
	must(t, err)
	defer c.Close()
	all := map[string]item.Item{}
	for b := range c.Bands {
		for p := range c.Bands[b].Parts {
			r, err := c.Part(b, p, 0)
			must(t, err)
			for {
				var i item.Item
				if err := r.Next(&i); err == io.EOF {
					break
				} else {
					must(t, err)
				}
				if _, twice := all[string(i.Key)]; twice {
					t.Errorf("key %q is there twice", i.Key)
				}
				all[string(i.Key)] = i
			}
			must(t, r.Close())
		}
	}
	return all
}

func TestDumpIsWholeAndRight(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 256})
	s := warmtest.Server(t, kit.Addr())
	const n = 20_000
	warmtest.Fill(t, s, n, warmtest.Mixed)
	for _, listing := range []dump.Listing{dump.Hash, dump.All} {
		o := options(t, s)
		o.Listing = listing
		r, err := dump.Dump(t.Context(), o)
		must(t, err)
		all := items(t, o.Dir)
		if len(all) != n || r.Cache.Counts.Listed != n || r.Cache.Counts.Items != n || r.Cache.Cut != "" {
			t.Fatalf("%s: %d items, report %+v", listing, len(all), r.Cache.Counts)
		}
		now := time.Now().Unix()
		for i := range n {
			want := warmtest.Mixed(i, n)
			got := all[string(want.Key)]
			if !bytes.Equal(got.Value, want.Value) || got.Flags != want.Flags || got.Fetched != want.Hit {
				t.Fatalf("item %d %q: %d bytes, flags %d, fetched %v", i, want.Key, len(got.Value), got.Flags, got.Fetched)
			}
			if end := got.Expires/1000 - now; want.TTL == 0 && got.Expires != 0 || want.TTL > 0 && (end > want.TTL+1 || end < want.TTL-60) {
				t.Fatalf("item %d: ends in %d s, want %d", i, end, want.TTL)
			}
		}
	}
	// The dumps have left no trace: what was not used still counts as that.
	if line := strings.Join(kit.Ask(t, fmt.Sprintf("mg mix:%d h u\r\n", n-1), "HD"), ""); line != "HD h0" {
		t.Errorf("an unused item after two dumps: %q", line)
	}
}

// What cannot or shall not be stored is counted under its reason, and tokens go back.
func TestEverythingIsCounted(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	s := warmtest.Server(t, kit.Addr())
	kit.Ask(t, "set plain 0 0 1\r\nv\r\nset stale 0 0 1\r\nv\r\nset sent 0 0 1\r\nv\r\nset big 0 0 5000\r\n"+strings.Repeat("x", 5000)+
		"\r\nms short 1 T1\r\nv\r\nmd stale I\r\nmd sent I\r\nmg sent t\r\nmn\r\n", "MN")
	binarySet(t, kit, bytes.Repeat([]byte{' '}, 200), "v")
	o := options(t, s)
	o.Values = 4000
	r, err := dump.Dump(t.Context(), o)
	must(t, err)
	c := r.Cache.Counts
	if len(items(t, o.Dir)) != 1 || c.Stale != 2 || c.TooLarge != 1 || c.Unreachable != 1 || c.TokensLost != 0 || c.Expired != 1 && c.Listed != 5 {
		t.Errorf("counts %+v", c)
	}
	if sum := c.Items + c.Expired + c.Gone + c.Unreachable + c.TooLarge + c.WideFlags + c.Stale + c.ReadErrors + c.NotReached; sum != c.Listed {
		t.Errorf("%d listed, %d accounted for: %+v", c.Listed, sum, c)
	}
	if line := strings.Join(kit.Ask(t, "mg stale t\r\n", "HD"), ""); !strings.Contains(line, "W") {
		t.Errorf("the next client of the stale item gets %q, want its token", line)
	}
	if line := strings.Join(kit.Ask(t, "mg sent t\r\n", "HD"), ""); !strings.Contains(line, "Z") {
		t.Errorf("a token that a client has was given to another one: %q", line)
	}
}

func TestOneDumpAServer(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	s := warmtest.Server(t, kit.Addr())
	warmtest.Fill(t, s, 3000, warmtest.Mixed)
	slow := options(t, s)
	slow.Rate = 1000
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := dump.Dump(ctx, slow)
		ended <- err
	}()
	testkit.Wait(t, 20*time.Second, func() (bool, string) {
		parts, err := filepath.Glob(filepath.Join(slow.Dir, "band-*"))
		return err == nil && len(parts) > 0, "it does not read yet"
	})
	o := options(t, s)
	o.Locks = slow.Locks
	if _, err := dump.Dump(t.Context(), o); !errors.Is(err, dump.ErrRunning) {
		t.Errorf("a second dump: %v, want ErrRunning", err)
	}
	named := options(t, warmtest.Server(t, strings.Replace(kit.Addr(), "127.0.0.1", "localhost", 1)))
	if _, err := dump.Dump(t.Context(), named); !errors.Is(err, dump.ErrRunning) {
		t.Errorf("under another name, with another folder: %v, want ErrRunning", err)
	}
	if _, err := dump.Keys(t.Context(), named, 10); !errors.Is(err, dump.ErrRunning) {
		t.Errorf("a list of keys under another name: %v, want ErrRunning", err)
	}
	cancel()
	if err := testkit.Recv(t, 20*time.Second, "the end of the first", ended); !errors.Is(err, context.Canceled) {
		t.Errorf("the first ended with %v", err)
	}
	if _, err := item.Open(slow.Dir); !errors.Is(err, item.ErrNoCache) {
		t.Errorf("a dump that was stopped left %v", err)
	}
	_, err := dump.Dump(t.Context(), o)
	must(t, err)
}

// A dump that is cut has the hottest items, and says what is missing.
func TestLimitKeepsTheHottest(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 128})
	s := warmtest.Server(t, kit.Addr())
	const n = 10_000
	warmtest.Fill(t, s, n, warmtest.Mixed) // the first half is used
	o := options(t, s)
	o.Limit.Items = n / 4
	r, err := dump.Dump(t.Context(), o)
	must(t, err)
	all := items(t, o.Dir)
	for key, i := range all {
		if !i.Fetched {
			t.Fatalf("%q was never used, and is among the hottest quarter", key)
		}
	}
	if got := r.Cache.Counts; len(all) < n/4 || len(all) > n/4+1000 || r.Cache.Cut == "" || got.NotReached != n-got.Items {
		t.Errorf("%d items, cut %q, counts %+v", len(all), r.Cache.Cut, got)
	}
}

func TestServerGoesAway(t *testing.T) {
	t.Parallel()
	for name, comesBack := range map[string]bool{"for good": false, "and starts again": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kit := testkit.Memcached(t, testkit.MemcachedOptions{})
			s := warmtest.Server(t, kit.Addr())
			warmtest.Fill(t, s, 3000, warmtest.Mixed)
			o := options(t, s)
			o.Rate = 1000
			ended := make(chan error, 1)
			go func() {
				_, err := dump.Dump(t.Context(), o)
				ended <- err
			}()
			testkit.Wait(t, 20*time.Second, func() (bool, string) {
				parts, err := filepath.Glob(filepath.Join(o.Dir, "band-*", "*.items"))
				return err == nil && len(parts) > 0, "it does not read yet"
			})
			kit.Kill(t)
			want := memcached.ErrLost
			if comesBack {
				kit.Start(t)
				want = dump.ErrRestarted
			}
			if err := testkit.Recv(t, 60*time.Second, "the end of the dump", ended); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
			if _, err := item.Open(o.Dir); !errors.Is(err, item.ErrNoCache) {
				t.Errorf("it left %v", err)
			}
		})
	}
}

// Connections that break in the middle cost nothing: what was asked for is asked for again.
func TestLostConnections(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 128})
	proxy := testkit.NewProxy(t, kit.Addr())
	const n = 10_000
	warmtest.Fill(t, warmtest.Server(t, kit.Addr()), n, warmtest.Mixed)
	o := options(t, warmtest.Server(t, proxy.Addr()))
	o.Rate = 10_000
	ended := make(chan error, 1)
	var r *dump.Report
	go func() {
		var err error
		r, err = dump.Dump(t.Context(), o)
		ended <- err
	}()
	for range 3 {
		before := proxy.Traffic()
		testkit.Wait(t, 20*time.Second, func() (bool, string) {
			parts, err := filepath.Glob(filepath.Join(o.Dir, "band-*", "*.items"))
			return err == nil && len(parts) > 0 && proxy.Traffic() != before, "it does not read yet"
		})
		proxy.Drop()
	}
	must(t, testkit.Recv(t, 120*time.Second, "the end of the dump", ended))
	if all := items(t, o.Dir); len(all) != n || r.Cache.Counts.Interrupted == 0 {
		t.Errorf("%d items of %d, counts %+v", len(all), n, r.Cache.Counts)
	}
}

// Two listings of mode all miss different items, as they do when items move: together they have all, each once.
func TestTwoListingsAreMerged(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	const n = 3000
	warmtest.Fill(t, warmtest.Server(t, kit.Addr()), n, warmtest.Mixed)
	o := options(t, warmtest.Middle(t, kit, func(listing int, text string) string {
		var kept []string
		for i, line := range strings.SplitAfter(text, "\n") {
			if i%4 != listing || strings.HasPrefix(line, "END") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}))
	o.Listing = dump.All
	r, err := dump.Dump(t.Context(), o)
	must(t, err)
	if all := items(t, o.Dir); len(all) != n || r.Cache.Counts.Listed != n {
		t.Errorf("%d items, counts %+v", len(all), r.Cache.Counts)
	}
}

// Named defects of versions that cannot be had here, on the list of a real server.
func TestDefectiveLists(t *testing.T) {
	const n = 2000
	once := func(bad func(string) string) func(int, string) string {
		return func(listing int, text string) string {
			if listing == 0 {
				return bad(text)
			}
			return text
		}
	}
	for name, c := range map[string]struct {
		change func(int, string) string
		want   error
	}{
		"begins with OK, 1.6.43":      {func(_ int, text string) string { return "OK\r\n" + text }, nil},
		"flags and blank, 1.6.45":     {func(_ int, text string) string { return strings.ReplaceAll(text, "\n", " flags=0 \n") }, nil},
		"hash grows, 1.6.28, once":    {once(func(string) string { return "ERROR locked try again later\r\n" }), nil},
		"hash grows for long, 1.6.28": {func(int, string) string { return "ERROR locked try again later\r\n" }, drain.ErrBusy},
		"cut, once":                   {once(func(text string) string { return text[:len(text)/2] }), nil},
		"cut always":                  {func(_ int, text string) string { return text[:len(text)/2] }, drain.ErrTorn},
		"sent twice, 1.6.19, once":    {once(func(text string) string { return text[:1000] + text[500:] }), nil},
		"sent twice always":           {func(_ int, text string) string { return text[:1000] + text[500:] }, drain.ErrTorn},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kit := testkit.Memcached(t, testkit.MemcachedOptions{})
			warmtest.Fill(t, warmtest.Server(t, kit.Addr()), n, warmtest.Mixed)
			change := c.change
			if strings.HasPrefix(name, "flags") {
				change = func(i int, text string) string {
					return strings.ReplaceAll(c.change(i, text), "END\r flags=0 \n", "END\r\n")
				}
			}
			o := options(t, warmtest.Middle(t, kit, change))
			r, err := dump.Dump(t.Context(), o)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil && (r.Cache.Counts.Items != n || len(items(t, o.Dir)) != n) {
				t.Errorf("counts %+v", r.Cache.Counts)
			}
			if _, err := item.Open(o.Dir); c.want != nil && !errors.Is(err, item.ErrNoCache) {
				t.Errorf("a list that is not whole left %v", err)
			}
		})
	}
}
