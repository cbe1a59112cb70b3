package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/lock"
)

// A write that stopped at any byte leaves the record before, or the one that was being written, and
// never a token that goes back.
func TestTornWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	p, err := grantedPlace(path, "a")
	must(t, err)
	version := lock.Version{}
	for _, data := range []string{"first record", "second, longer record", "3", "fourth record, and the longest of them"} {
		before := readFile(t, path)
		r, err := p.Write(context.Background(), []byte(data), version)
		must(t, err)
		tearAt(t, path, before, readFile(t, path), version, r.Version)
		version = r.Version
	}
	must(t, p.Leave(context.Background()))
}

// tearAt tries every length of what was written, from the front and from the back.
func tearAt(t *testing.T, path string, before, after []byte, old, new lock.Version) {
	t.Helper()
	from, to := difference(before, after)
	torn := filepath.Join(filepath.Dir(path), "torn")
	mixed := append([]byte(nil), before...)
	must(t, os.WriteFile(torn, mixed, 0o600))
	fd, err := unix.Open(torn, unix.O_RDWR|openFlags, 0)
	must(t, err)
	defer func() { must(t, unix.Close(fd)) }()
	s := store{path: torn, fd: fd}
	for _, step := range []struct{ at, by, end int }{{from, 1, to}, {to - 1, -1, from - 1}} {
		must(t, writeAt(fd, before[from:to], int64(from)))
		for at := step.at; at != step.end; at += step.by {
			must(t, writeAt(fd, after[at:at+1], int64(at)))
			now, err := s.load()
			must(t, err)
			whole := at+step.by == step.end
			if got := versionOf(now.Version); now.Token != 1 || (got != old && got != new) || (whole && got != new) {
				t.Fatalf("torn at byte %d of %d to %d: version %+v with token %d, expected %+v or %+v with token 1", at, from, to, got, now.Token, old, new)
			}
		}
	}
}

func difference(a, b []byte) (from, to int) {
	from = len(a)
	for i := range a {
		if a[i] != b[i] {
			from, to = min(from, i), i+1
		}
	}
	return from, to
}

// A power failure may tear everything that was written since the last sync: the grant and its token are
// still there.
func TestPowerFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	p, err := grantedPlace(path, "a")
	must(t, err)
	r, err := p.Release(context.Background(), []byte("released"), lock.Version{})
	must(t, err)
	q, err := grantedPlace(path, "b")
	must(t, err)
	synced, version := readFile(t, path), r.Version
	for i := range 9 {
		w, err := q.Write(context.Background(), []byte{byte(i)}, version)
		must(t, err)
		version = w.Version
		now := readFile(t, path)
		for j := range slots { // every slot that is not as it was synced is torn
			slot := now[headSize+j*slotSize:][:slotSize]
			if string(slot) != string(synced[headSize+j*slotSize:][:slotSize]) {
				slot[0] ^= 1
			}
		}
		copied := filepath.Join(t.TempDir(), "lock")
		must(t, os.WriteFile(copied, now, 0o600))
		got := loadFile(t, copied)
		if string(got.data) != "released" || got.Token != 2 || got.Holder != "b" {
			t.Fatalf("after %d unsynced writes the state on disk is %+v, expected the grant with token 2", i+1, got.state)
		}
	}
	must(t, q.Leave(context.Background()))
}

// One damaged slot, whichever, does not set the token back.
func TestOneSlotDamagedKeepsToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	for range 3 {
		p, err := grantedPlace(path, "a")
		must(t, err)
		must(t, p.Leave(context.Background()))
	}
	whole := readFile(t, path)
	for i := range slots {
		damaged := append([]byte(nil), whole...)
		damaged[headSize+i*slotSize+90] ^= 1
		must(t, os.WriteFile(path, damaged, 0o600))
		if got := loadFile(t, path); got.Token != 3 {
			t.Fatalf("with slot %d damaged the token is %d, expected 3", i, got.Token)
		}
	}
}

// What is no whole lock file is refused and stays as it is, an empty file too.
func TestBadFileIsNeverReset(t *testing.T) {
	good := newFile(t)
	zero := append([]byte(head), make([]byte, fileSize-len(head))...)
	for name, content := range map[string][]byte{
		"empty": {}, "text": []byte("hello\n"), "head only": []byte(head), "no state": zero,
		"cut in the first slot": good[:headSize+50], "other format": append([]byte("X"), good[1:]...),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			must(t, os.WriteFile(path, content, 0o600))
			p, err := joinedPlace(context.Background(), path, "a")
			must(t, err)
			err = p.Await(context.Background(), func(lock.Version, clock.Stamp) {})
			if !errors.Is(err, lock.ErrBadRecord) {
				t.Fatalf("got %v, expected ErrBadRecord", err)
			}
			if _, err := p.d.View(context.Background()); !errors.Is(err, lock.ErrBadRecord) {
				t.Fatalf("view: got %v, expected ErrBadRecord", err)
			}
			if held, err := isHeld(openFile(t, path)); err != nil || held {
				t.Fatalf("the refused file is locked: %v (%v)", held, err)
			}
			must(t, p.Leave(context.Background()))
			if string(readFile(t, path)) != string(content) {
				t.Fatal("the refused file was changed")
			}
		})
	}
}

// newFile gives the bytes of a lock file of which nothing was granted.
func newFile(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lock")
	must(t, create(path))
	return readFile(t, path)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	all, err := os.ReadFile(path)
	must(t, err)
	return all
}

func loadFile(t *testing.T, path string) snapshot {
	t.Helper()
	s := store{path: path, fd: openFile(t, path)}
	now, err := s.load()
	must(t, err)
	return now
}

// openFile opens with a description of its own.
func openFile(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDWR|openFlags, 0)
	must(t, err)
	t.Cleanup(func() { must(t, unix.Close(fd)) })
	return fd
}
