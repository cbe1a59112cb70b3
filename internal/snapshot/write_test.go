package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// aTree has something of everything.
func aTree() []*testFile {
	big := slices.Concat(noise(1, 3<<20+17), make([]byte, 2<<20), words(2, 5<<20+1))
	sparse := newFile("data/sparse", make([]byte, 9<<20))
	copy(sparse.data[4<<20+5000:], noise(3, 3000))
	sparse.holes, sparse.File.Sparse = [][2]int64{{4<<20 + 4096, 4<<20 + 8192}}, true
	odd := newFile("data/\xff\xfe not \"utf8\"\n", []byte("odd"))
	odd.Xattrs = []Xattr{{"user.\xf0", []byte{0, 1, 2}}, {"user.plain", nil}}
	odd.File.Links = 2
	files := []*testFile{newDir(Root), newDir("data"), newFile("data/big", big), sparse, odd}
	link := newFile("data/\xff\xff", nil)
	link.Entry = Entry{Path: "data/\xff\xff", Kind: Link, Target: odd.Path, MTime: Time{-5, 1}}
	link.data = nil
	files = append(files, link, newFile("data-file", []byte("x")), newDir("empty"), newFile("nothing", nil))
	for _, e := range []Entry{
		{Path: "pipe", Kind: FIFO, Mode: 0o4600, MTime: Time{1 << 40, 0}},
		{Path: "sym", Kind: Symlink, Mode: 0o777, Target: "/etc/\xffpasswd"},
		{Path: "tty", Kind: Char, Device: 1<<40 + 5},
	} {
		files = append(files, &testFile{Entry: e})
	}
	files = append(files, newDir("z"))
	for i := range 3000 {
		files = append(files, newFile(fmt.Sprintf("z/%05d", i), words(uint64(i), i%4000)))
	}
	return files
}

func TestRoundTrip(t *testing.T) { eachForm(t, testRoundTrip) }

func testRoundTrip(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	files := aTree()
	s := takes(t, r, Holder{}, files)
	sameTree(t, readAll(t, r, s), files)
	if err := r.Verify(context.Background(), s, nil); err != nil {
		t.Fatal(err)
	}
	for key, data := range st.objects {
		if strings.HasSuffix(key, ".pack") && len(data) > maxPack {
			t.Errorf("%s has %d bytes", key, len(data))
		}
	}
	last := st.puts[len(st.puts)-2:]
	if last[0] != s.ID.manifestKey() || last[1] != catalogKey(2) {
		t.Errorf("written last %q, want manifest and catalog", last)
	}
}

func TestUnchangedIsNotRead(t *testing.T) { eachForm(t, testUnchangedIsNotRead) }

func testUnchangedIsNotRead(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	files := aTree()
	takes(t, r, Holder{}, files)
	for _, f := range files {
		if f.reads != nil {
			f.reads.Store(0)
		}
	}
	before := len(st.puts)
	s := takes(t, r, Holder{}, files)
	for _, f := range files {
		if f.reads != nil && f.reads.Load() > 0 {
			t.Errorf("%q was read", f.Path)
		}
	}
	if n := len(st.puts) - before; n != 1+as.objects() {
		t.Errorf("%d objects written: %q, want manifest and catalog", n, st.puts[before:])
	}
	sameTree(t, readAll(t, r, s), files)
}

// A chunk that changed is stored alone; the others stay where they are.
func TestChangedChunks(t *testing.T) { eachForm(t, testChangedChunks) }

func testChangedChunks(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	f := newFile("db", noise(5, 20<<20+100))
	takes(t, r, Holder{}, []*testFile{f})
	for i := range 4 {
		f.data[i*(5<<20)+7]++
	}
	f.touch()
	s := takes(t, r, Holder{}, []*testFile{f})
	sameTree(t, readAll(t, r, s), []*testFile{f})
	if want := int64(4*minChunk+8192) + as.more(1); s.Stored > want {
		t.Errorf("%d bytes stored for 4 changed chunks, want at most %d", s.Stored, want)
	}
}

// Increments of increments, with files that grow, shrink, come and go, always read back whole.
func TestManyIncrements(t *testing.T) { eachForm(t, testManyIncrements) }

func testManyIncrements(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	rnd := rand.New(rand.NewPCG(7, 7))
	tree := map[string]*testFile{}
	for round := range 25 {
		for range 6 {
			path := fmt.Sprintf("f%02d", rnd.IntN(20))
			f := tree[path]
			switch {
			case f == nil:
				tree[path] = newFile(path, noise(rnd.Uint64(), rnd.IntN(3<<20)))
			case rnd.IntN(5) == 0:
				delete(tree, path)
			default:
				tree[path] = change(rnd, f)
			}
		}
		var files []*testFile
		for _, f := range tree {
			files = append(files, f)
		}
		slices.SortFunc(files, func(a, b *testFile) int { return ComparePaths(a.Path, b.Path) })
		s := takes(t, r, Holder{}, files)
		sameTree(t, readAll(t, r, s), files)
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
}

func change(rnd *rand.Rand, f *testFile) *testFile {
	data := slices.Clone(f.data)
	switch rnd.IntN(4) {
	case 0:
		data = append(data, noise(rnd.Uint64(), rnd.IntN(300<<10))...)
	case 1:
		data = data[:rnd.IntN(len(data)+1)]
	case 2:
		at := rnd.IntN(len(data) + 1)
		clear(data[at:min(len(data), at+500<<10)])
	}
	if len(data) > 0 {
		data[rnd.IntN(len(data))]++
	}
	n := newFile(f.Path, data)
	n.File.CTime, n.File.Inode = f.File.CTime, f.File.Inode
	n.File.CTime[0]++
	return n
}

func TestStream(t *testing.T) { eachForm(t, testStream) }

func testStream(t *testing.T, as form) {
	for _, n := range []int{0, 1, maxFrame - 1, maxFrame, 5<<20 + 3} {
		st := newMemStore()
		r := as.repo(t, st)
		f := &testFile{Entry: Entry{Path: "dump.sql", Kind: Stream, Mode: 0o600}, data: slices.Concat(words(4, n/2), make([]byte, n-n/2))}
		s := takes(t, r, Holder{}, []*testFile{f})
		sameTree(t, readAll(t, r, s), []*testFile{f})
		m, err := r.Manifest(context.Background(), s)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := r.StreamTo(context.Background(), &out, 0, m.Wants(), nil); err != nil || !bytes.Equal(out.Bytes(), f.data) {
			t.Errorf("stream of %d bytes: %d came back, %v", n, out.Len(), err)
		}
	}
}

func TestWriteFails(t *testing.T) { eachForm(t, testWriteFails) }

func testWriteFails(t *testing.T, as form) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		files func() []*testFile
		fault func(*memStore)
		want  error
	}{
		"short":    {files: func() []*testFile { f := newFile("a", noise(1, 3<<20)); f.short = 5; return []*testFile{f} }, want: ErrChanged},
		"close":    {files: func() []*testFile { f := newFile("a", noise(1, 3<<20)); f.err = ErrChanged; return []*testFile{f} }, want: ErrChanged},
		"order":    {files: func() []*testFile { return []*testFile{newFile("b", nil), newFile("a", nil)} }, want: ErrOrder},
		"escape":   {files: func() []*testFile { return []*testFile{newFile("../b", nil)} }, want: ErrEntry},
		"deep":     {files: func() []*testFile { return []*testFile{newFile(strings.Repeat("a/", 1<<15)+"b", nil)} }, want: ErrEntry},
		"pack":     {files: aTree, fault: failOn("put", ".pack", broken), want: broken},
		"manifest": {files: aTree, fault: failOn("put", ".zst", broken), want: broken},
	} {
		t.Run(name, func(t *testing.T) {
			st := newMemStore()
			r := as.repo(t, st)
			if c.fault != nil {
				c.fault(st)
			}
			if _, err := take(t, r, Holder{}, c.files()); !errors.Is(err, c.want) || errors.Is(err, ErrDamaged) {
				t.Errorf("got %v, want %v, and no damage", err, c.want)
			}
			if c, err := r.Catalog(t.Context()); err != nil || len(c.Live) > 0 {
				t.Errorf("%d were published, %v", len(c.Live), err)
			}
		})
	}
}

func failOn(op, suffix string, err error) func(*memStore) {
	return func(m *memStore) {
		m.before = func(o, key string) error {
			if o == op && strings.HasSuffix(key, suffix) {
				return err
			}
			return nil
		}
	}
}

// Bodies that end early are read again, and not for ever.
func TestTruncatedBodies(t *testing.T) { eachForm(t, testTruncatedBodies) }

func testTruncatedBodies(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	files := aTree()
	s := takes(t, r, Holder{}, files)
	type request struct {
		key    string
		length int64
	}
	cut := map[request]bool{}
	st.cut = func(key string, n int64) int64 { // the first of its kind: several are under way at once
		if q := (request{key, n}); strings.HasSuffix(key, ".pack") && !cut[q] {
			cut[q] = true
			return n / 2
		}
		return n
	}
	sameTree(t, readAll(t, r, s), files)
	st.cut = func(key string, n int64) int64 {
		if strings.HasSuffix(key, ".pack") {
			return 0
		}
		return n
	}
	if err := r.Verify(context.Background(), s, nil); err == nil {
		t.Error("bodies that are always empty verify well")
	}
}
