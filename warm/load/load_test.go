package load_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/load"
	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/warmtest"
)

// Everything survives a dump and a load: values, flags, and lifetimes to a second.
func TestDumpAndLoad(t *testing.T) {
	n, memory := 100_000, 256
	if testkit.Long() {
		n, memory = 1_000_000, 1500
	}
	from := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: memory})
	to := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: memory})
	warmtest.Fill(t, warmtest.Server(t, from.Addr()), n, warmtest.Mixed)
	r := run(t, options(t, to, dumped(t, from)))
	if r.Loaded != int64(n) || r.Stopped != "" {
		t.Errorf("%d of %d loaded", r.Loaded, n)
	}
	if have := warmtest.Same(t, warmtest.Server(t, from.Addr()), warmtest.Server(t, to.Addr()), n, warmtest.Mixed); have != n {
		t.Errorf("%d of %d items are in the loaded server", have, n)
	}
}

// A server that holds nothing gives a content of nothing, which loads.
func TestNothing(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	c := dumped(t, kit)
	if r := run(t, options(t, kit, c)); r.Loaded != 0 || r.Held != 0 || r.Stopped != "" || c.Cut != "" {
		t.Errorf("report %+v", r)
	}
}

// A part that is damaged fails the load, after what was loaded before.
func TestDamagedPart(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	c, dir := contentIn(t, 2, 2000, thousand)
	name := filepath.Join(dir, "band-01", "0000.items")
	raw, err := os.ReadFile(name)
	must(t, err)
	raw[len(raw)/2] ^= 1
	must(t, os.WriteFile(name, raw, 0o600))
	r, err := load.New(options(t, kit, c)).Run(t.Context())
	if !errors.Is(err, item.ErrDamaged) || r.Loaded < 2000 || r.Loaded >= 3001 {
		t.Errorf("%+v %v, want ErrDamaged after the first band", r, err)
	}
}

// What a client writes before or while we load stays.
func TestNothingIsOverwritten(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 256})
	const n = 60_000
	c := content(t, 10, n/10, thousand)
	o := options(t, kit, c)
	o.Rate = 30_000
	l := load.New(o)
	ended := make(chan error, 1)
	var r *load.Report
	go func() {
		var err error
		r, err = l.Run(t.Context())
		ended <- err
	}()
	var written []int
	client, err := memcached.Dial(t.Context(), warmtest.Server(t, kit.Addr()), memcached.Options{Timeout: time.Minute})
	must(t, err)
	defer client.Close()
	for i, done := 0, false; !done; i += 7 { // sets all over, until the load ends
		select {
		case err := <-ended:
			must(t, err)
			done = true
		default:
			it := thousand(i % n)
			kit.Ask(t, fmt.Sprintf("set %s 7 0 5\r\nfresh\r\n", it.Key), "STORED")
			written = append(written, i%n)
		}
	}
	t.Logf("%d writes, report %+v", len(written), *r)
	var reply memcached.Reply
	for _, i := range written {
		it := thousand(i)
		must(t, client.SendGet(it.Key))
		must(t, client.Flush())
		must(t, client.Read(&reply))
		if string(reply.Value) != "fresh" || reply.Flags != 7 {
			t.Fatalf("item %d: a client's value is gone: %.20q flags %d", i, reply.Value, reply.Flags)
		}
	}
	if r.Exists == 0 || r.Loaded+r.Exists != n {
		t.Errorf("report %+v, want all loaded or there already", r.Counts)
	}
}

// The server dies in the middle and comes back empty: it is loaded from the start.
func TestServerRestarts(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 256})
	const n = 40_000
	o := options(t, kit, content(t, 10, n/10, thousand))
	o.Rate = 40_000
	l, ended := begun(t.Context(), o)
	testkit.Wait(t, 30*time.Second, func() (bool, string) { f := l.Fraction(); return f > 0.2, fmt.Sprint(f) })
	kit.Kill(t)
	kit.Start(t)
	r := testkit.Recv(t, time.Minute, "the end of the load", ended)
	must(t, r.err)
	if got := survivors(t, kit, n); r.Restarts != 1 || r.Loaded != n || got != [10]int{100, 100, 100, 100, 100, 100, 100, 100, 100, 100} {
		t.Errorf("report %+v, survivors %v", *r.Report, got)
	}
}

// A load that ended early goes on where it was, in another process if need be.
func TestResume(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 64})
	const n = 80_000 // more than fits: the selection must stay the same
	o := options(t, kit, content(t, 10, n/10, thousand))
	o.Rate = 20_000
	ctx, cancel := context.WithCancel(t.Context())
	l, ended := begun(ctx, o)
	testkit.Wait(t, 30*time.Second, func() (bool, string) { f := l.Fraction(); return f > 0.3, fmt.Sprint(f) })
	cancel()
	if first := testkit.Recv(t, time.Minute, "the end of the first", ended); !errors.Is(first.err, context.Canceled) {
		t.Fatalf("the first ended with %v", first.err)
	}
	raw, err := json.Marshal(l.Progress())
	must(t, err)
	o.From = &load.Progress{}
	must(t, json.Unmarshal(raw, o.From))
	o.Rate = 0
	r := run(t, o)
	if r.Loaded > r.Selected*3/4 || r.Exists > 3000 || r.Stopped != "" {
		t.Errorf("it did not go on from %.200s: %+v", raw, r)
	}
	if got := survivors(t, kit, n); got[4] != 100 || got[9] != 0 {
		t.Errorf("survivors %v", got)
	}
	// The server of that progress is gone: the one that runs now is loaded from the start.
	o.Server = warmtest.Server(t, testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 64}).Addr())
	if fresh := run(t, o); fresh.Loaded < 48_000 || fresh.Resumed != 0 {
		t.Errorf("another server: %d of %d loaded", fresh.Loaded, r.Selected)
	}
}

func TestConnectionsAreLost(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 256})
	proxy := testkit.NewProxy(t, kit.Addr())
	const n = 40_000
	o := options(t, kit, content(t, 10, n/10, thousand))
	o.Server = warmtest.Server(t, proxy.Addr())
	o.Rate = 20_000
	l, ended := begun(t.Context(), o)
	for _, part := range []float64{0.1, 0.3, 0.5, 0.7} {
		testkit.Wait(t, time.Minute, func() (bool, string) { f := l.Fraction(); return f > part, fmt.Sprint(f) })
		proxy.Drop()
	}
	r := testkit.Recv(t, time.Minute, "the end of the load", ended)
	must(t, r.err)
	if got := survivors(t, kit, n); r.Interrupted == 0 || r.Loaded+r.Repeated != n || got != [10]int{100, 100, 100, 100, 100, 100, 100, 100, 100, 100} {
		t.Errorf("report %+v, survivors %v", *r.Report, got)
	}
}

func TestOnlyOurKeys(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 64})
	o := options(t, kit, content(t, 1, 1000, thousand))
	o.Sources[0].Keys = func(key []byte) bool { return key[len(key)-1] == '3' }
	if r := run(t, o); r.Loaded != 100 || r.NotOurs != 900 {
		t.Errorf("report %+v", r.Counts)
	}
	// Ten times as many are selected where only a tenth is ours.
	o.Sources[0].Cache = content(t, 10, 12_000, thousand)
	all := run(t, o).Selected
	o.Sources[0].Share = 0.1
	if part := run(t, o).Selected; all > 60_000 || part != 120_000 {
		t.Errorf("selected %d of 120,000 if all were ours, %d if a tenth is", all, part)
	}
}

// Lifetimes: what is over is not loaded, what a host with a slow clock has is not given a longer life.
func TestLifetimes(t *testing.T) {
	t.Parallel()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{})
	now := time.Now().Unix()
	ends := map[string]int64{"over": now - 5, "now": now, "soon": now + 1, "hour": now + 3600, "month": now + 40*86400, "far": 1 << 35, "ever": 0}
	var keys []string
	for key := range ends {
		keys = append(keys, key)
	}
	of := func(i int) item.Item {
		return item.Item{Key: []byte(keys[i]), Value: []byte("v"), Expires: ends[keys[i]] * 1000, Size: 60}
	}
	if r := run(t, options(t, kit, content(t, 1, len(keys), of))); r.Loaded != 4 || r.Expired != 3 {
		t.Errorf("report %+v", r.Counts)
	}
	for key, end := range ends {
		line := strings.TrimPrefix(strings.Join(kit.Ask(t, "mg "+key+" t\r\nmn\r\n", "MN"), " "), "HD t")
		var left int64
		_, err := fmt.Sscanf(line, "%d", &left)
		switch {
		case end == 0 && left != -1, end > 0 && end < now+5 && err == nil, end > now+5 && end < 1<<32 && (left < end-now-10 || left > end-now+1):
			t.Errorf("%s: %q, ends in %d s", key, line, end-now)
		case key == "far" && left < 300_000_000:
			t.Errorf("%s: %q, want the end of 32 bits", key, line)
		}
	}
	late := content(t, 1, len(keys), of)
	late.Ended = now + 1800 // the clock here is half an hour slow
	kit.Ask(t, "flush_all\r\n", "OK")
	testkit.Wait(t, 5*time.Second, func() (bool, string) { // flush_all is by whole seconds
		lines := kit.Ask(t, "ms probe 1 T1\r\nx\r\nmg probe\r\nmn\r\n", "MN")
		return lines[1] == "HD", strings.Join(lines, " ")
	})
	run(t, options(t, kit, late))
	var left int64
	_, err := fmt.Sscanf(kit.Ask(t, "mg hour t\r\n", "")[0], "HD t%d", &left)
	if err != nil || left < 1700 || left > 1801 {
		t.Errorf("an hour less half an hour: %d s left (%v)", left, err)
	}
}
