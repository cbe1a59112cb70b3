package tempdir

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainWithMounts(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func made(t testing.TB, above, prefix string) *Dir {
	t.Helper()
	d, err := Make(above, prefix)
	must(t, err)
	must(t, errors.Join(os.Mkdir(filepath.Join(d.Path, "sub"), 0o700), os.WriteFile(filepath.Join(d.Path, "sub", "f"), []byte("x"), 0o600)))
	return d
}

func names(t testing.TB, above string) (all []string) {
	t.Helper()
	found, err := os.ReadDir(above)
	must(t, err)
	for _, e := range found {
		all = append(all, e.Name())
	}
	return all
}

// What a dead process left goes, also where that died while it made or removed it; what is in use, what has another
// name and what only looks like one stay.
func TestSweep(t *testing.T) {
	above := t.TempDir()
	used, dead, half, other := made(t, above, "x-"), made(t, above, "x-"), made(t, above, "x-"), made(t, above, "y-")
	must(t, errors.Join(dead.lock.Close(), half.lock.Close(), other.lock.Close())) // as the kernel does it for a dead process
	must(t, os.RemoveAll(filepath.Join(half.Path, "sub")))
	must(t, os.Mkdir(filepath.Join(above, "x-new"), 0o700))
	strange := filepath.Join(above, "x-strange")
	must(t, errors.Join(os.Mkdir(strange, 0o700), os.WriteFile(filepath.Join(strange, "f"), nil, 0o600), os.WriteFile(filepath.Join(above, "x-file"), nil, 0o600)))
	must(t, os.Symlink(other.Path, filepath.Join(above, "x-link")))
	must(t, Sweep(above, "x-"))
	want := []string{filepath.Base(used.Path), "x-file", "x-link", "x-strange", filepath.Base(other.Path)}
	if got := names(t, above); len(got) != len(want) {
		t.Errorf("left are %q, want %q", got, want)
	}
	if text, err := os.ReadFile(filepath.Join(used.Path, "sub", "f")); err != nil || string(text) != "x" {
		t.Errorf("what is in use was touched: %q %v", text, err)
	}
	must(t, used.Remove())
	for _, name := range names(t, above) {
		if name == filepath.Base(used.Path) {
			t.Error("it was not removed")
		}
	}
}

// In a place that is everybody's, others' directories are left alone.
func TestSweepOfOthers(t *testing.T) {
	testkit.RequireRoot(t)
	above := t.TempDir()
	d := made(t, above, "x-")
	must(t, errors.Join(d.lock.Close(), os.Chown(d.Path, 65534, 65534)))
	must(t, Sweep(above, "x-"))
	if left := names(t, above); len(left) != 1 {
		t.Errorf("left are %q", left)
	}
}

// What could not be removed whole can be told from what is in use the next time, too.
func TestRemovedInPart(t *testing.T) {
	testkit.RequireRoot(t)
	above := t.TempDir()
	d := made(t, above, "x-")
	sub := filepath.Join(d.Path, "sub")
	must(t, unix.Mount("x", sub, "tmpfs", 0, "size=64k"))
	if err := d.Remove(); err == nil {
		t.Error("a mount was removed")
	}
	testkit.Unmount(t, sub)
	must(t, Sweep(above, "x-"))
	if left := names(t, above); len(left) > 0 {
		t.Errorf("left are %q", left)
	}
}

// Where a file that is open stays by another name (NFS), a lock that is open would keep its directory.
func TestLockIsClosedFirst(t *testing.T) {
	above := t.TempDir()
	d := made(t, above, "x-")
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	must(t, err)
	defer unix.Close(fd)
	_, err = unix.InotifyAddWatch(fd, filepath.Join(d.Path, lockName), unix.IN_CLOSE_WRITE)
	must(t, err)
	_, err = unix.InotifyAddWatch(fd, above, unix.IN_DELETE)
	must(t, err)
	must(t, d.Remove())
	b := make([]byte, 4096)
	n, err := unix.Read(fd, b)
	must(t, err)
	// An event begins with its watch and its mask.
	if first := binary.NativeEndian.Uint32(b[4:n]); first != unix.IN_CLOSE_WRITE {
		t.Errorf("the directory was removed (%#x) before the lock was closed", first)
	}
}

// However makers and sweepers meet, each has what it made until it removes it.
func TestCrowd(t *testing.T) {
	above := t.TempDir()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				d, err := Make(above, "x-")
				if err == nil {
					err = errors.Join(Sweep(above, "x-"), os.WriteFile(filepath.Join(d.Path, "f"), nil, 0o600), d.Remove())
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		all.Go(func() {
			for range 400 {
				if err := Sweep(above, "x-"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if left := names(t, above); len(left) > 0 {
		t.Errorf("left are %s", strings.Join(left, " "))
	}
}
