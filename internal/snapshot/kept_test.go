package snapshot

import (
	"os"
	"path/filepath"
	"testing"
)

func TestParentManifestIsKept(t *testing.T) { eachForm(t, testParentManifestIsKept) }

func testParentManifestIsKept(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	files := []*testFile{newFile("a", noise(1, 1000))}
	d, err := r.Begin(t.Context(), Holder{}, BeginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := d.Write(t.Context(), WriteOptions{Scratch: t.TempDir()}, itemsOf(files))
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Publish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err = r.Begin(t.Context(), Holder{}, BeginOptions{Full: true}); err != nil {
		t.Fatal(err)
	}
	elsewhere, err := d.Write(t.Context(), WriteOptions{Scratch: t.TempDir()}, itemsOf(files)) // another directory's
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{kept: 0, other: 1, elsewhere: 1, other + ".gone": 1, "": 1} {
		before := st.gets
		m, err := r.ParentManifest(t.Context(), path, s)
		if err != nil {
			t.Fatal(err)
		}
		entries := 0
		for range m.Wants() {
			entries++
		}
		if err := m.Close(); err != nil || entries != 1 || st.gets-before != want {
			t.Errorf("%q: %d runs, %d reads of the store, %v, want 1 and %d", path, entries, st.gets-before, err, want)
		}
	}
}

// A file that changed just before it was read may change again within the same tick of its clock.
func TestRacyFileIsReadAgain(t *testing.T) { eachForm(t, testRacyFileIsReadAgain) }

func testRacyFileIsReadAgain(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	f := newFile("a", noise(1, 1000))
	f.File.CTime = TimeOf(testNow().Add(-racyFor / 2))
	takes(t, r, Holder{}, []*testFile{f})
	f.data[5]++
	s := takes(t, r, Holder{}, []*testFile{f})
	sameTree(t, readAll(t, r, s), []*testFile{f})
}

// An early end closes every file that was opened, and leaves nothing in the scratch directory.
func TestEarlyEndLeavesNothing(t *testing.T) { eachForm(t, testEarlyEndLeavesNothing) }

func testEarlyEndLeavesNothing(t *testing.T, as form) {
	st := newMemStore()
	r := as.repo(t, st)
	failOn("put", ".pack", errTest)(st)
	open := newOpenCount(aTree())
	d, err := r.Begin(t.Context(), Holder{}, BeginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	scratch := t.TempDir()
	if _, err := d.Write(t.Context(), WriteOptions{Scratch: scratch}, open.items()); err == nil {
		t.Fatal("no error")
	}
	if n := open.count.Load(); n != 0 {
		t.Errorf("%d files are still open", n)
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		t.Errorf("%v, %v left in the scratch directory", left, err)
	}
}
