package snapshot

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/interlock-run/interlock/internal/fstree"
	"golang.org/x/sys/unix"
)

// TestRealTree stores a real directory, with a sparse file and a hard link, and reads it back; then it
// changes a file under the reader's hands.
func TestRealTree(t *testing.T) { eachForm(t, testRealTree) }

func testRealTree(t *testing.T, as form) {
	dir := t.TempDir()
	data := noise(1, 3<<20+5)
	makeTree(t, dir, data)
	r := as.repo(t, newMemStore())
	s, err := takeTree(t, r, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]*readBack{}
	for _, b := range readAll(t, r, s) {
		got[b.Path] = b
		if _, err := b.Tree(); err != nil {
			t.Error(err)
		}
	}
	sparse := make([]byte, 50<<20)
	copy(sparse[30<<20:], "data")
	if !bytes.Equal(got["d/big"].data, data) || !bytes.Equal(got["sparse"].data, sparse) || !got["sparse"].File.Sparse {
		t.Error("files differ")
	}
	if e := got["link"]; e.Kind != Link || e.Target != "d/big" || got["sym"].Target != "d/big" {
		t.Errorf("links: %+v, %+v", e, got["sym"])
	}
	if s.Stored > 4<<20 {
		t.Errorf("%d bytes stored: the holes too?", s.Stored)
	}
	change := func() error { return os.Truncate(filepath.Join(dir, "d/big"), 2<<20) }
	if _, err := takeTree(t, r, dir, change); !errors.Is(err, ErrChanged) {
		t.Errorf("a file that shrank: %v, want %v", err, ErrChanged)
	}
}

func makeTree(t *testing.T, dir string, data []byte) {
	t.Helper()
	path := func(name string) string { return filepath.Join(dir, name) }
	f, err := os.Create(path("sparse"))
	if err != nil {
		t.Fatal(err)
	}
	_, werr := f.WriteAt([]byte("data"), 30<<20)
	err = errors.Join(werr, f.Truncate(50<<20), f.Close(), os.Mkdir(path("d"), 0o700),
		os.WriteFile(path("d/big"), data, 0o640), os.Link(path("d/big"), path("link")),
		os.Symlink("d/big", path("sym")), unix.Mkfifo(path("pipe"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
}

// takeTree stores a directory; between walking to the end and reading the last file, change is called.
func takeTree(t *testing.T, r *Repository, dir string, change func() error) (Snapshot, error) {
	t.Helper()
	tree, err := fstree.Open(dir, fstree.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	}()
	d, err := r.Begin(t.Context(), Holder{}, BeginOptions{Full: true})
	if err != nil {
		return Snapshot{}, err
	}
	items := func(yield func(Item, error) bool) {
		for item, err := range TreeItems(tree) {
			if open := item.Open; open != nil && change != nil {
				item.Open = func() (Content, error) {
					c, err := open()
					return changing{c, change}, err
				}
			}
			if !yield(item, err) {
				return
			}
		}
	}
	if _, err := d.Write(t.Context(), WriteOptions{Scratch: t.TempDir()}, items); err != nil {
		return Snapshot{}, err
	}
	return d.Publish(t.Context())
}

// changing changes the file before each read.
type changing struct {
	Content
	change func() error
}

func (c changing) ReadAt(p []byte, off int64) (int, error) {
	if err := c.change(); err != nil {
		return 0, err
	}
	return c.Content.ReadAt(p, off)
}

var _ io.ReaderAt = changing{}
