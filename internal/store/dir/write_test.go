package dir

import (
	"os"
	"path"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/store"
)

func filled(t *testing.T, d *Dir, data string) *temp {
	t.Helper()
	f, err := d.newTemp()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.f.WriteString(data); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestLostReply: over NFS a link(2) that was done can come back as EEXIST or as no answer. The number of
// names tells, and never makes a loser a winner.
func TestLostReply(t *testing.T) {
	d := open(t, t.TempDir())
	mine, theirs := filled(t, d, "mine"), filled(t, d, "theirs")
	t.Cleanup(func() { _, _ = mine.drop(), theirs.drop() })
	if err := d.root.Link(mine.name, "key"); err != nil {
		t.Fatal(err)
	}
	for _, errno := range []syscall.Errno{syscall.EEXIST, syscall.EIO, syscall.ETIMEDOUT} {
		if err := d.linked(mine, "key", &os.LinkError{Op: "linkat", Old: mine.name, New: "key", Err: errno}); err != nil {
			t.Errorf("a link that was done and came back as %v gave %v", errno, err)
		}
	}
	wants(t, d.linked(theirs, "key", syscall.EEXIST), store.ErrExists, "a loser's link")
	wants(t, d.linked(theirs, "other", syscall.ETIMEDOUT), store.ErrAmbiguous, "a link without an answer")
	wants(t, d.linked(theirs, "other", syscall.ENOSPC), store.ErrFull, "a link without room")
}

func TestModes(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	for root, want := range map[os.FileMode]os.FileMode{0o755: 0o640, 0o700: 0o600, 0o777: 0o660, 0o770: 0o660} {
		place := t.TempDir()
		if err := os.Chmod(place, root); err != nil {
			t.Fatal(err)
		}
		if err := open(t, place).Create(t.Context(), "a/b", []byte("x")); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(place, "a", "b"))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("in a directory of mode %o an object has %v, %v: expected %o", root, info.Mode(), err, want)
		}
	}
}

// TestSweep: of four leftovers only the old one that nobody writes goes.
func TestSweep(t *testing.T) {
	place := t.TempDir()
	d := open(t, place)
	dead, fresh, busy := filled(t, d, "dead"), filled(t, d, "fresh"), filled(t, d, "busy")
	for _, gone := range []*temp{dead, fresh} {
		if err := gone.f.Close(); err != nil { // as the kernel does for a killed writer
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = busy.drop() })
	before := time.Now().Add(-2 * time.Hour)
	for _, old := range []*temp{dead, busy} {
		if err := os.Chtimes(filepath.Join(place, old.name), before, before); err != nil {
			t.Fatal(err)
		}
	}
	removed, err := open(t, place).Sweep(t.Context())
	if err != nil || removed != 1 {
		t.Fatalf("sweep removed %d, %v: expected 1", removed, err)
	}
	left, err := os.ReadDir(filepath.Join(place, tempDir))
	if err != nil || len(left) != 2 || !named(left, fresh) || !named(left, busy) {
		t.Fatalf("%v, %v are left: expected the fresh one and the busy one", left, err)
	}
	if err := d.show(busy, "key", d.link); err != nil {
		t.Fatalf("a slow writer beside a sweep: %v", err)
	}
}

func named(left []os.DirEntry, want *temp) bool {
	for _, e := range left {
		if e.Name() == path.Base(want.name) {
			return true
		}
	}
	return false
}

// TestSweptTooEarly: a writer whose file was removed under it has an error, and nothing is published.
func TestSweptTooEarly(t *testing.T) {
	place := t.TempDir()
	d := open(t, place)
	f := filled(t, d, "x")
	if err := os.Remove(filepath.Join(place, f.name)); err != nil {
		t.Fatal(err)
	}
	wants(t, d.show(f, "key", d.link), os.ErrNotExist, "a link of a swept file")
	_, err := d.Get(t.Context(), "key", 0, -1)
	wants(t, err, store.ErrNotFound, "get")
	if err := f.drop(); err != nil {
		t.Fatal(err)
	}
}
