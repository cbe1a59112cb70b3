package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/interlock-run/interlock/internal/store"
)

func testRoundTrip(b *bench) {
	small, large := noise(1), noise(store.MaxCreate)
	b.must(b.s.Create(b.ctx, "catalog/00000000000000000001", small), "create 1 byte")
	b.must(b.s.Create(b.ctx, "snap/a-1/manifest.zst", large), "create 16 MiB")
	b.put("snap/a-1/00000.pack", large)
	other := b.open()
	for key, want := range map[string][]byte{
		"catalog/00000000000000000001": small, "snap/a-1/manifest.zst": large, "snap/a-1/00000.pack": large,
	} {
		got, err := store.ReadAll(b.ctx, other, key, store.MaxCreate)
		b.must(err, "read "+key)
		if !bytes.Equal(got, want) {
			b.Fatalf("%s came back with %d other bytes, expected the %d written", key, len(got), len(want))
		}
	}
}

func testRanges(b *bench) {
	data := noise(100_000)
	b.put("a/pack", data)
	for _, r := range []struct{ off, n int64 }{{0, 1}, {0, 100_000}, {99_999, 1}, {1000, 50_000}, {99_000, -1}, {0, -1}} {
		end := r.off + r.n
		if r.n < 0 {
			end = int64(len(data))
		}
		if got := b.read("a/pack", r.off, r.n); !bytes.Equal(got, data[r.off:end]) {
			b.Fatalf("%d bytes from %d are not those written (%d came)", r.n, r.off, len(got))
		}
	}
	for _, r := range []struct{ off, n int64 }{{0, 100_001}, {99_999, 2}, {100_001, 1}, {100_000, 1}, {200_000, -1}} {
		body, err := b.s.Get(b.ctx, "a/pack", r.off, r.n)
		if err == nil {
			_, err = io.ReadAll(body)
			b.must(body.Close(), "close")
		}
		b.wants(err, store.ErrDamaged, fmt.Sprintf("%d bytes from %d of 100000", r.n, r.off))
	}
}

func testAbsent(b *bench) {
	_, err := b.s.Get(b.ctx, "catalog/1", 0, -1)
	b.wants(err, store.ErrNotFound, "get of an absent key")
	_, err = b.s.Get(b.ctx, "catalog/1", 5, 10)
	b.wants(err, store.ErrNotFound, "get of a range of an absent key")
	if keys := b.list("catalog/", ""); len(keys) > 0 {
		b.Fatalf("an empty place lists %q", keys)
	}
	b.must(b.s.Delete(b.ctx, "catalog/1"), "delete of an absent key")
}

func testKeys(b *bench) {
	for _, key := range []string{"", "/a", "a/", "a//b", "..", "a/../b", ".tmp/x", "a/.b", "a b", "ä", "a\x00", "a%41", strings.Repeat("a/", 450) + "a"} {
		b.wants(b.s.Create(b.ctx, key, []byte("x")), store.ErrUse, "create of "+key)
		b.wants(b.s.Put(b.ctx, key, strings.NewReader("x"), 1), store.ErrUse, "put of "+key)
		b.wants(b.s.Delete(b.ctx, key), store.ErrUse, "delete of "+key)
		_, err := b.s.Get(b.ctx, key, 0, -1)
		b.wants(err, store.ErrUse, "get of "+key)
	}
	long := strings.Repeat("k", 200) + "/" + strings.Repeat("k", 200) + "/" + strings.Repeat("k", 200) + "/" + strings.Repeat("Z9._-", 40)
	b.create(long, "long")
	b.holds(long, "long")
}

func testSizes(b *bench) {
	b.wants(b.s.Create(b.ctx, "a", nil), store.ErrUse, "create of nothing")
	b.wants(b.s.Create(b.ctx, "a", make([]byte, store.MaxCreate+1)), store.ErrUse, "create of too much")
	b.wants(b.s.Put(b.ctx, "a", strings.NewReader(""), 0), store.ErrUse, "put of nothing")
	_, err := b.s.Get(b.ctx, "a", 0, 0)
	b.wants(err, store.ErrUse, "get of nothing")
}

func testCreateOnce(b *bench) {
	b.create("interlock.json", "first")
	b.wants(b.s.Create(b.ctx, "interlock.json", []byte("second")), store.ErrExists, "second create")
	b.wants(b.open().Create(b.ctx, "interlock.json", []byte("third")), store.ErrExists, "create by another")
	b.holds("interlock.json", "first")
}

// testCreateRace: 20 rounds of 16 creators on 4 stores; each has one winner, whose bytes stay.
func testCreateRace(b *bench) {
	stores := []store.Store{b.s, b.open(), b.open(), b.open()}
	for round := range 20 {
		key := fmt.Sprintf("catalog/%020d", round)
		var errs [16]error
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() { errs[i] = stores[i%len(stores)].Create(b.ctx, key, fmt.Appendf(nil, "creator %d", i)) })
		}
		all.Wait()
		winner := ""
		for i, err := range errs {
			if err == nil && winner != "" {
				b.Fatalf("round %d: creator %d won beside %s", round, i, winner)
			}
			if err == nil {
				winner = fmt.Sprintf("creator %d", i)
				continue
			}
			b.wants(err, store.ErrExists, fmt.Sprintf("round %d: losing creator %d", round, i))
		}
		b.holds(key, winner)
	}
}

func testPutAgain(b *bench) {
	b.put("snap/x/00000.pack", []byte("same"))
	b.put("snap/x/00000.pack", []byte("same"))
	b.holds("snap/x/00000.pack", "same")
	late := strings.NewReader("from the start")
	_, err := late.Seek(5, io.SeekStart)
	b.must(err, "seek")
	b.must(b.s.Put(b.ctx, "snap/x/00001.pack", late, 14), "put of a reader that stands in the middle")
	b.holds("snap/x/00001.pack", "from the start")
}

// testPutShortBody: a body that ends early publishes nothing.
func testPutShortBody(b *bench) {
	err := b.s.Put(b.ctx, "snap/x/00000.pack", strings.NewReader("short"), 100)
	b.wants(err, store.ErrUse, "put of a body that ends early")
	broken := errors.New("the source broke")
	err = b.s.Put(b.ctx, "snap/x/00000.pack", &brokenBody{Reader: *strings.NewReader("short"), err: broken}, 100)
	b.wants(err, broken, "put of a body that breaks")
	_, err = b.s.Get(b.ctx, "snap/x/00000.pack", 0, -1)
	b.wants(err, store.ErrNotFound, "get after it")
}

// A brokenBody ends in an error.
type brokenBody struct {
	strings.Reader
	err error
}

func (b *brokenBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = b.err
	}
	return n, err
}

func testDelete(b *bench) {
	b.create("snap/x/1", "one")
	b.create("snap/x/2", "two")
	b.must(b.s.Delete(b.ctx, "snap/x/1"), "delete")
	b.must(b.s.Delete(b.ctx, "snap/x/1"), "delete again")
	_, err := b.s.Get(b.ctx, "snap/x/1", 0, -1)
	b.wants(err, store.ErrNotFound, "get of what was deleted")
	b.holds("snap/x/2", "two")
	b.must(b.s.Delete(b.ctx, "snap/x/2"), "delete of the last")
	b.create("snap/x/1", "anew")
	b.holds("snap/x/1", "anew")
}

// testDeleteWhileCreating: removing a folder's last object never harms one that comes at that moment.
func testDeleteWhileCreating(b *bench) {
	other := b.open()
	var all sync.WaitGroup
	for i, s := range []store.Store{b.s, other} {
		all.Go(func() {
			for round := range 40 {
				key := fmt.Sprintf("snap/x/%d-%d", i, round)
				if err := s.Create(b.ctx, key, []byte(key)); err != nil {
					b.Errorf("create %s: %v", key, err)
				} else if err := s.Delete(b.ctx, key); err != nil {
					b.Errorf("delete %s: %v", key, err)
				}
			}
		})
	}
	all.Wait()
}

// testEnded: an ended context is an error of every call, and nothing was done.
func testEnded(b *bench) {
	b.create("a", "kept")
	ended, cancel := context.WithCancel(b.ctx)
	cancel()
	b.wants(b.s.Create(ended, "b", []byte("x")), context.Canceled, "create")
	b.wants(b.s.Put(ended, "b", strings.NewReader("x"), 1), context.Canceled, "put")
	b.wants(b.s.Delete(ended, "a"), context.Canceled, "delete")
	_, err := b.s.Get(ended, "a", 0, -1)
	b.wants(err, context.Canceled, "get")
	for _, err := range b.s.List(ended, "", "") {
		b.wants(err, context.Canceled, "list")
	}
	b.holds("a", "kept")
	_, err = b.s.Get(b.ctx, "b", 0, -1)
	b.wants(err, store.ErrNotFound, "get of what was not done")
}

func testProbe(b *bench) {
	b.must(store.Probe(b.ctx, b.s), "probe")
	if keys := b.list("", ""); len(keys) > 0 {
		b.Fatalf("the probe left %q", keys)
	}
}
