package fstree

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"

	"golang.org/x/sys/unix"
)

// noise is bytes that differ everywhere, at a page's start in memory.
func noise(seed uint64, n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(data) // never fails
	return data
}

func bigEntry(size int) Entry {
	return Entry{Path: "big", Kind: File, Size: int64(size), Meta: Meta{Mode: 0o640, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}}
}

func target(t *testing.T, dir string) *Target {
	t.Helper()
	g, err := OpenTarget(dir, TargetOptions{Ours: true})
	must(t, err)
	t.Cleanup(func() { must(t, g.Close()) })
	must(t, g.Begin())
	return g
}

// TestDirect: a large file is written past the page cache by many at once, in pieces that are aligned and
// such that are not, and its end that is no whole page; then some of it again, over what was just read.
func TestDirect(t *testing.T) {
	everywhere(t, func(t *testing.T, dir string) {
		want := noise(1, 5<<20+100)
		g := target(t, dir)
		w, err := g.Create(bigEntry(len(want)))
		must(t, err)
		if supported := slices.Contains(directMagics(), magic(t, dir)); supported != (w.direct != nil) {
			t.Errorf("a direct way: %v, expected %v", w.direct != nil, supported)
		}
		pieces(t, w, want)
		if w.direct != nil && w.direct.off.Load() {
			t.Error("the filesystem refused it")
		}
		must(t, w.Finish())
		holds(t, dir, want)

		w, err = g.Create(bigEntry(len(want)))
		must(t, err)
		old := make([]byte, 1<<20)
		_, err = w.ReadAt(old, 1<<20)
		must(t, err)
		if w.Old() != int64(len(want)) || !bytes.Equal(old, want[1<<20:2<<20]) {
			t.Fatalf("%d bytes of old content, expected %d", w.Old(), len(want))
		}
		copy(want[1<<20:], noise(2, 256<<10))
		_, err = w.WriteAt(slices.Clone(want[1<<20:1<<20+256<<10]), 1<<20)
		must(t, err)
		must(t, w.Finish())
		holds(t, dir, want)
		must(t, g.Finish())
	})
}

// pieces writes in runs of a megabyte, every other one from memory that is not aligned.
func pieces(t *testing.T, w *Writer, want []byte) {
	t.Helper()
	var wait sync.WaitGroup
	for at := 0; at < len(want); at += 1 << 20 {
		wait.Go(func() {
			end, shift := min(at+1<<20, len(want)), at>>20%2*7
			data := append(make([]byte, shift, 2<<20), want[at:end]...)[shift:]
			if n, err := w.WriteAt(data, int64(at)); err != nil || n != end-at {
				t.Errorf("wrote %d of %d at %d: %v", n, end-at, at, err)
			}
		})
	}
	wait.Wait()
}

// TestDirectRefused: what the filesystem does not take this way goes the other one, and so does all after it.
func TestDirectRefused(t *testing.T) {
	dir := t.TempDir()
	g := target(t, dir)
	want := noise(3, 2<<20)
	w, err := g.Create(bigEntry(len(want)))
	must(t, err)
	if w.direct == nil {
		w.direct = openDirect(w.fd)
	}
	if w.direct == nil {
		must(t, w.Close())
		testkit.Skip(t, "direct I/O", "this filesystem has no such way")
	}
	if n, err := w.direct.write(want[:directLeast], 1); n != 0 || err != nil || !w.direct.off.Load() {
		t.Errorf("a write at byte 1: %d, %v, expected to be told that it goes the other way", n, err)
	}
	pieces(t, w, want)
	must(t, w.Finish())
	holds(t, dir, want)
}

func magic(t *testing.T, dir string) int64 {
	t.Helper()
	var fs unix.Statfs_t
	must(t, unix.Statfs(dir, &fs))
	return int64(fs.Type)
}

func holds(t *testing.T, dir string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(dir, "big"))
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, other than the %d written", len(got), len(want))
	}
}
