package snapshot

import (
	"context"
	"fmt"
	"io"
	"iter"
	"runtime"
	"testing"

	"github.com/interlock-run/interlock/internal/store"
)

// discard takes all and keeps nothing, so that only our own work is measured.
type discard struct{ *memStore }

func (d discard) Put(_ context.Context, _ string, body io.ReadSeeker, _ int64) error {
	_, err := io.Copy(io.Discard, body)
	return err
}

var _ store.Store = discard{}

// pages is like a database: pages of which half compresses well.
func pages(n int) []byte {
	data := words(1, n)
	for i := 0; i+16<<10 <= n; i += 32 << 10 {
		copy(data[i:], noise(uint64(i), 12<<10))
	}
	return data
}

const benchBytes = 128 << 20

// BenchmarkRaw is what cannot be saved: read, hash and compress on one core.
func BenchmarkRaw(b *testing.B) {
	data := pages(benchBytes)
	enc, err := newEncoder(1)
	if err != nil {
		b.Fatal(err)
	}
	buf, out := make([]byte, maxFrame), make([]byte, 0, maxStored)
	b.SetBytes(benchBytes)
	for b.Loop() {
		for at := 0; at < len(data); at += maxFrame {
			copy(buf, data[at:])
			for i := 0; i < maxFrame; i += minChunk {
				SumOf(buf[i : i+minChunk])
			}
			encodeFrame(enc, buf, out)
		}
	}
}

// BenchmarkWrite is the same through the pipeline, on one core.
func BenchmarkWrite(b *testing.B) {
	files := []*testFile{newFile("db", pages(benchBytes))}
	old := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(old)
	b.SetBytes(benchBytes)
	for b.Loop() {
		benchWrite(b, itemsOf(files))
	}
}

func benchWrite(b *testing.B, items iter.Seq2[Item, error]) {
	b.Helper()
	mem := newMemStore()
	r := testRepo(b, mem)
	r.store = discard{mem}
	d, err := r.Begin(b.Context(), Holder{}, BeginOptions{Full: true})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := d.Write(b.Context(), WriteOptions{Scratch: b.TempDir()}, items); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSmallFiles is a tree of small files, b.N counted in trees of 100,000.
func BenchmarkSmallFiles(b *testing.B) {
	data := words(1, 1000)
	items := func(yield func(Item, error) bool) {
		for i := range 100_000 {
			f := newFile(fmt.Sprintf("%06d", i), data)
			if !yield(Item{Entry: f.Entry, Open: func() (Content, error) { return zeroCopy{data}, nil }}, nil) {
				return
			}
		}
	}
	for b.Loop() {
		benchWrite(b, items)
	}
}

type zeroCopy struct{ data []byte }

func (z zeroCopy) ReadAt(p []byte, off int64) (int, error) { return copy(p, z.data[off:]), nil }
func (z zeroCopy) Close() error                            { return nil }

// BenchmarkReadManifest and BenchmarkUnchanged are 100,000 entries with a run each.
func BenchmarkReadManifest(b *testing.B) {
	r, s, _ := smallTree(b)
	for b.Loop() {
		m, err := r.Manifest(b.Context(), s)
		if err != nil {
			b.Fatal(err)
		}
		for _, err := range m.Wants() {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkUnchanged(b *testing.B) {
	r, _, files := smallTree(b)
	for b.Loop() {
		takes(b, r, Holder{}, files)
	}
}

func smallTree(b *testing.B) (*Repository, Snapshot, []*testFile) {
	b.Helper()
	r := testRepo(b, newMemStore())
	var files []*testFile
	for i := range 100_000 {
		files = append(files, newFile(fmt.Sprintf("%06d", i), words(uint64(i), 30)))
	}
	return r, takes(b, r, Holder{}, files), files
}

// BenchmarkSeal and BenchmarkUnseal are what encryption costs on one core.
func BenchmarkSeal(b *testing.B) {
	r := form{newKey(b)}.repo(b, newMemStore())
	frames := noise(1, packFull)
	b.SetBytes(packFull)
	for b.Loop() {
		sealedPack(b, r, frames)
	}
}

func BenchmarkUnseal(b *testing.B) {
	st := newMemStore()
	r := form{newKey(b)}.repo(b, st)
	pack, buf := Pack{NewID(testNow(), 0), 0}, make([]byte, maxFrame)
	st.objects[pack.key()] = sealedPack(b, r, noise(1, packFull))
	b.SetBytes(packFull)
	for b.Loop() {
		body, err := r.openPack(b.Context(), pack, 0, packFull)
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = io.ReadFull(body, buf)
		}
		if err != io.EOF {
			b.Fatal(err)
		}
	}
}
