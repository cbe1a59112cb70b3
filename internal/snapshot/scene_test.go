package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/internal/store"
)

// testNow is a clock that stands still, long after the times of all test files.
func testNow() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }

func testRepo(t testing.TB, st *memStore) *Repository { return form{}.repo(t, st) }

// A form is that of a repository: encrypted or not.
type form struct {
	key *age.X25519Identity // nil: not encrypted
}

// eachForm runs a test for a repository that is not encrypted, and for one that is.
func eachForm(t *testing.T, test func(*testing.T, form)) {
	t.Helper()
	t.Run("plain", func(t *testing.T) { test(t, form{}) })
	t.Run("encrypted", func(t *testing.T) { test(t, form{newKey(t)}) })
}

func newKey(t testing.TB) *age.X25519Identity {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// init makes a repository in an empty store.
func (f form) init(st store.Store, scope Scope) (*Repository, error) {
	if f.key == nil {
		return Init(context.Background(), st, scope, testNow)
	}
	r, err := InitEncrypted(context.Background(), st, scope, []string{f.key.Recipient().String()}, testNow)
	if err != nil {
		return nil, err
	}
	return r, r.UseIdentities(f.key)
}

func (f form) repo(t testing.TB, st *memStore) *Repository {
	t.Helper()
	r, err := f.init(st, Scope{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// more is what encrypting adds to the bytes of a snapshot with so many packs.
func (f form) more(packs int64) int64 {
	if f.key == nil {
		return 0
	}
	return packs*(sealChunk+4096) + 4096
}

// namesPacks is the key of the object that tells a collector which packs stay.
func (f form) namesPacks(id ID) string {
	if f.key == nil {
		return id.manifestKey()
	}
	return id.packsKey()
}

// objects is how many objects a snapshot has beside its packs.
func (f form) objects() int {
	if f.key == nil {
		return 1
	}
	return 2
}

// A testFile is an item with bytes in memory.
type testFile struct {
	Entry
	data  []byte
	reads *atomic.Int64
	holes [][2]int64 // ranges of data, for sparse ones
	err   error      // of Close
	short int        // bytes that are missing when it is read
}

type testContent struct {
	*bytes.Reader
	f *testFile
}

func (c testContent) ReadAt(p []byte, off int64) (int, error) {
	c.f.reads.Add(int64(len(p)))
	return c.Reader.ReadAt(p, off)
}

func (c testContent) Close() error { return c.f.err }

func (c testContent) Runs() iter.Seq2[fstree.Run, error] {
	return func(yield func(fstree.Run, error) bool) {
		for _, h := range c.f.holes {
			if !yield(fstree.Run{Off: h[0], Len: h[1] - h[0]}, nil) {
				return
			}
		}
	}
}

func newFile(path string, data []byte) *testFile {
	e := Entry{Path: path, Kind: File, Mode: 0o644, UID: 7, GID: 8, MTime: Time{1_700_000_000, 123456789}}
	e.File = FileInfo{Size: int64(len(data)), CTime: Time{1_700_000_001, 5}, Inode: 99}
	return &testFile{Entry: e, data: data, reads: new(atomic.Int64)}
}

func newDir(path string) *testFile {
	return &testFile{Entry: Entry{Path: path, Kind: Dir, Mode: 0o755, MTime: Time{1_700_000_000, 1}}}
}

func (f *testFile) touch() *testFile {
	f.File.CTime[0]++
	return f
}

func itemsOf(files []*testFile) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for _, f := range files {
			item := Item{Entry: f.Entry}
			switch f.Kind {
			case File:
				item.Open = func() (Content, error) { return testContent{bytes.NewReader(f.data[:len(f.data)-f.short]), f}, nil }
			case Stream:
				item.Stream = bytes.NewReader(f.data)
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}

// takes writes and publishes a snapshot of files, on top of the newest one.
func takes(t testing.TB, r *Repository, who Holder, files []*testFile) Snapshot {
	t.Helper()
	s, err := take(t, r, who, files)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func take(t testing.TB, r *Repository, who Holder, files []*testFile) (Snapshot, error) {
	t.Helper()
	ctx := context.Background()
	d, err := r.Begin(ctx, who, BeginOptions{})
	if err != nil {
		return Snapshot{}, err
	}
	o := WriteOptions{Scratch: t.TempDir(), Workers: 2}
	if d.Parent.ID != "" {
		if o.Parent, err = r.Manifest(ctx, d.Parent); err != nil {
			return Snapshot{}, err
		}
		defer func() {
			if err := o.Parent.Close(); err != nil {
				t.Error(err)
			}
		}()
	}
	if _, err := d.Write(ctx, o, itemsOf(files)); err != nil {
		return Snapshot{}, err
	}
	return d.Publish(ctx)
}

// A readBack is a file as read from a snapshot.
type readBack struct {
	Entry
	data []byte
}

// readAll reads a whole snapshot with Fetch.
func readAll(t testing.TB, r *Repository, s Snapshot) []*readBack {
	t.Helper()
	ctx := context.Background()
	m, err := r.Manifest(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	var list []*readBack
	wants := func(yield func(Want, error) bool) {
		for {
			e, err := m.NextEntry()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Want{}, err)
				return
			}
			b := &readBack{Entry: *e, data: make([]byte, e.File.Size)}
			list = append(list, b)
			again := func(w Want, err error) bool {
				w.For = b
				if b.Kind == Stream {
					b.data = append(b.data, make([]byte, w.Run.Len)...)
				}
				return yield(w, err)
			}
			if !m.EntryWants(e)(again) {
				return
			}
		}
	}
	deliver := func(w Want, data []byte) error {
		copy(w.For.(*readBack).data[w.Run.At:], data)
		return nil
	}
	// A stream's bytes grow while they are wanted, so nothing may be delivered before all is known.
	var all []Want
	for w, err := range wants {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
	}
	if err := r.Fetch(ctx, seqOf(all), nil, deliver); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return list
}

func seqOf(all []Want) iter.Seq2[Want, error] {
	return func(yield func(Want, error) bool) {
		for _, w := range all {
			if !yield(w, nil) {
				return
			}
		}
	}
}

// sameTree compares what was read with what was stored.
func sameTree(t testing.TB, got []*readBack, want []*testFile) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i, w := range want {
		g, e := got[i], w.Entry
		e.File.Chunk, e.File.Racy = g.File.Chunk, g.File.Racy
		if !slices.EqualFunc(g.Xattrs, e.Xattrs, func(a, b Xattr) bool { return a.Name == b.Name && bytes.Equal(a.Value, b.Value) }) {
			t.Errorf("%q: attributes %v, want %v", e.Path, g.Xattrs, e.Xattrs)
		}
		a, b := g.Entry, e
		a.Xattrs, b.Xattrs = nil, nil
		if !sameEntry(a, b) {
			t.Errorf("entry %+v, want %+v", g.Entry, e)
		}
		if !bytes.Equal(g.data, w.data) && len(g.data)+len(w.data) > 0 {
			t.Errorf("%q: %d bytes differ from the %d stored", e.Path, len(g.data), len(w.data))
		}
	}
}

func sameEntry(a, b Entry) bool {
	return a.Path == b.Path && a.Kind == b.Kind && a.File == b.File && sameMeta(&a, &b)
}

// noise is bytes of a seed that do not compress; text is some that do.
func noise(seed uint64, n int) []byte {
	data := make([]byte, n)
	rnd := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = rnd.Read(data) // never fails
	return data
}

func words(seed uint64, n int) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	var b bytes.Buffer
	for b.Len() < n {
		b.WriteString([]string{"lock ", "fence ", "mount ", "restore ", "run ", "stop\n"}[rnd.IntN(6)])
	}
	return b.Bytes()[:n]
}
