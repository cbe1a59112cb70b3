package stored_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store/dir"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/load"
	"github.com/interlock-run/interlock/warm/stored"
	"github.com/interlock-run/interlock/warm/warmtest"
)

func TestMain(m *testing.M) {
	if os.Args[0] == drain.Role {
		os.Exit(drain.Main())
	}
	testkit.Main(m)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func repository(t *testing.T) (*snapshot.Repository, string) {
	t.Helper()
	place := t.TempDir()
	st, err := dir.Open(place)
	must(t, err)
	t.Cleanup(func() { must(t, st.Close()) })
	r, err := snapshot.Init(t.Context(), st, snapshot.Scope{}, time.Now)
	must(t, err)
	return r, place
}

// dumped leaves the content of a server with n mixed items in a directory.
func dumped(t *testing.T, n int) (*testkit.MemcachedServer, string) {
	t.Helper()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 128})
	warmtest.Fill(t, warmtest.Server(t, kit.Addr()), n, warmtest.Mixed)
	o := dump.Options{Server: warmtest.Server(t, kit.Addr()), Dir: t.TempDir(), Scratch: t.TempDir(), Locks: t.TempDir(), Rate: -1,
		Drain: drain.Options{Stall: 20 * time.Second}}
	_, err := dump.Dump(t.Context(), o)
	must(t, err)
	return kit, o.Dir
}

// A server's content goes into a repository and from there, without a disk in between, into another server;
// a load that was stopped goes on in the middle of a part.
func TestThroughTheStore(t *testing.T) {
	const n = 30_000
	from, content := dumped(t, n)
	r, _ := repository(t)
	s, err := stored.Save(t.Context(), r, snapshot.Holder{}, content, t.TempDir(), snapshot.About{Node: "a"})
	must(t, err)
	catalog, err := r.Catalog(t.Context())
	must(t, err)
	if newest, ok := catalog.Newest(); !ok || newest.ID != s.ID || newest.About.Mode != stored.Mode || newest.About.Node != "a" {
		t.Fatalf("published %+v", newest)
	}
	c, err := stored.Open(t.Context(), r, s)
	must(t, err)
	defer c.Close()
	to := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 128})
	o := load.Options{Server: warmtest.Server(t, to.Addr()), Sources: []load.Source{{Cache: c}}, Rate: 30_000}
	ctx, cancel := context.WithCancel(t.Context())
	l := load.New(o)
	ended := make(chan error, 1)
	go func() {
		_, err := l.Run(ctx)
		ended <- err
	}()
	testkit.Wait(t, time.Minute, func() (bool, string) { return l.Fraction() > 0.3, "not yet" })
	cancel()
	if err := testkit.Recv(t, time.Minute, "the end of the first load", ended); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	progress := l.Progress()
	o.From, o.Rate = &progress, 0
	report, err := load.New(o).Run(t.Context())
	must(t, err)
	t.Logf("%+v", *report)
	if report.Loaded > n*3/4 {
		t.Errorf("it did not go on: %+v", report)
	}
	if have := warmtest.Same(t, warmtest.Server(t, from.Addr()), warmtest.Server(t, to.Addr()), n, warmtest.Mixed); have != n {
		t.Errorf("%d items, want %d", have, n)
	}
}

// A directory that is no whole dump is not published.
func TestOnlyWholeDumps(t *testing.T) {
	_, content := dumped(t, 100)
	must(t, os.Remove(filepath.Join(content, "cache.json")))
	r, _ := repository(t)
	if _, err := stored.Save(t.Context(), r, snapshot.Holder{}, content, t.TempDir(), snapshot.About{}); !errors.Is(err, item.ErrNoCache) {
		t.Errorf("got %v, want ErrNoCache", err)
	}
	if catalog, err := r.Catalog(t.Context()); err != nil || len(catalog.Live) != 0 {
		t.Errorf("%d snapshots, %v", len(catalog.Live), err)
	}
}

// A pack that is damaged gives an error where its items are read, never other items.
func TestDamagedStore(t *testing.T) {
	_, content := dumped(t, 5000)
	r, place := repository(t)
	s, err := stored.Save(t.Context(), r, snapshot.Holder{}, content, t.TempDir(), snapshot.About{})
	must(t, err)
	packs, err := filepath.Glob(filepath.Join(place, "snap", "*", "*.pack"))
	must(t, err)
	if len(packs) == 0 {
		t.Fatal("no pack in " + place)
	}
	raw, err := os.ReadFile(packs[0])
	must(t, err)
	raw[len(raw)/2] ^= 1
	must(t, os.Chmod(packs[0], 0o600))
	must(t, os.WriteFile(packs[0], raw, 0o600))
	c, err := stored.Open(t.Context(), r, s)
	if err == nil {
		defer c.Close()
		err = readAll(c)
	}
	if !errors.Is(err, snapshot.ErrDamaged) && !errors.Is(err, item.ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
}

func readAll(c *item.Cache) error {
	for b := range c.Bands {
		for p := range c.Bands[b].Parts {
			r, err := c.Part(b, p, 0)
			if err != nil {
				return err
			}
			var i item.Item
			for err == nil {
				err = r.Next(&i)
			}
			if err = errors.Join(r.Close(), err); !errors.Is(err, io.EOF) {
				return err
			}
		}
	}
	return nil
}
