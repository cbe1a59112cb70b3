package snapshot

import (
	"bytes"
	"errors"
	"iter"
	"slices"
	"testing"
)

// takeLate publishes a snapshot of first, with what comes late.
func takeLate(t *testing.T, r *Repository, first, late []*testFile) (Snapshot, error) {
	t.Helper()
	d, err := r.Begin(t.Context(), Holder{}, BeginOptions{})
	if err != nil {
		return Snapshot{}, err
	}
	o := WriteOptions{Scratch: t.TempDir(), Workers: 2, Progress: &Progress{}}
	if d.Parent.ID != "" {
		if o.Parent, err = r.Manifest(t.Context(), d.Parent); err != nil {
			return Snapshot{}, err
		}
	}
	o.Late = func() (iter.Seq2[Item, error], error) {
		want := int64(0)
		for _, f := range first {
			if f.File.Sparse {
				continue
			}
			want += f.File.Size
		}
		if got := o.Progress.Bytes.Load() + o.Progress.Reused.Load(); got < want {
			t.Errorf("asked after %d of %d bytes were read", got, want)
		}
		if late == nil {
			return nil, nil
		}
		return itemsOf(late), nil
	}
	if _, err := d.Write(t.Context(), o, itemsOf(first)); err != nil {
		return Snapshot{}, err
	}
	return d.Publish(t.Context())
}

// What comes late is put where it belongs, in place of what was there, and all of it reads back.
func TestLate(t *testing.T) {
	t.Parallel()
	r := testRepo(t, newMemStore())
	first := aTree()
	late := []*testFile{newDir(Root), newFile("a-label", []byte("late")), newDir("data"), newFile("data/big", noise(9, 3<<20+1)),
		newFile("data/wal", words(3, 20<<20)), newDir("new"), newFile("new/file", []byte("x")), newFile("zz", nil)}
	want := slices.DeleteFunc(slices.Clone(first), func(f *testFile) bool { return f.Path == "data/big" })
	for _, f := range late {
		if f.Path != Root && f.Path != "data" {
			want = append(want, f)
		}
	}
	slices.SortFunc(want, func(a, b *testFile) int { return ComparePaths(a.Path, b.Path) })
	for range 2 { // the second one has the first as its parent
		s, err := takeLate(t, r, first, late)
		if err != nil {
			t.Fatal(err)
		}
		sameTree(t, readAll(t, r, s), want)
		if err := r.Verify(t.Context(), s, nil); err != nil {
			t.Error(err)
		}
		size := int64(0)
		for _, f := range want {
			size += f.File.Size
		}
		if s.Entries != int64(len(want)) || s.Bytes != size {
			t.Errorf("%d entries with %d bytes, want %d with %d", s.Entries, s.Bytes, len(want), size)
		}
	}
}

func TestNothingLate(t *testing.T) {
	t.Parallel()
	r := testRepo(t, newMemStore())
	for _, late := range [][]*testFile{nil, {}, {newDir(Root)}} {
		s, err := takeLate(t, r, aTree(), late)
		if err != nil {
			t.Fatal(err)
		}
		sameTree(t, readAll(t, r, s), aTree())
	}
}

func TestLateRefused(t *testing.T) {
	t.Parallel()
	several := newFile("odd", []byte("1"))
	several.File.Links = 2
	link := &testFile{Entry: Entry{Path: "other", Kind: Link, Target: "odd"}}
	for name, c := range map[string]struct{ first, late []*testFile }{
		"directory":     {[]*testFile{newDir(Root), newDir("d"), newFile("d/f", nil)}, []*testFile{newDir(Root), newFile("d", nil)}},
		"several names": {[]*testFile{newDir(Root), several, link}, []*testFile{newDir(Root), newFile("odd", []byte("2"))}},
		"order":         {[]*testFile{newDir(Root)}, []*testFile{newFile("b", nil), newFile("a", nil)}},
	} {
		st := newMemStore()
		r := testRepo(t, st)
		if _, err := takeLate(t, r, c.first, c.late); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	r := testRepo(t, newMemStore())
	d, err := r.Begin(t.Context(), Holder{}, BeginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the service did not thaw")
	o := WriteOptions{Scratch: t.TempDir(), Late: func() (iter.Seq2[Item, error], error) { return nil, broken }}
	if _, err := d.Write(t.Context(), o, itemsOf([]*testFile{newFile("a", bytes.Repeat([]byte("a"), 100))})); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
}
