package mountcheck

import (
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// What is mounted below a path is found, but neither what another mount hides nor what is read-only.
func TestBelow(t *testing.T) {
	testkit.RequireRoot(t)
	at := func(dir string, flags uintptr) string {
		t.Helper()
		if err := unix.Mount("x", dir, "tmpfs", flags, "size=64k"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // it may be gone with the one above
		return dir
	}
	base := at(t.TempDir(), 0)
	dir := func(names ...string) string {
		t.Helper()
		d := filepath.Join(append([]string{base}, names...)...)
		if err := unix.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
		return d
	}
	dir("db")
	wal := at(dir("db", "wal"), 0)
	at(dir("db", "ro"), unix.MS_RDONLY)
	at(dir("beside"), 0)
	dir("db", "hidden")
	dir("db", "hidden", "deep")
	at(filepath.Join(base, "db", "hidden", "deep"), 0)
	over := at(filepath.Join(base, "db", "hidden"), 0)
	got, err := Below(filepath.Join(base, "db"))
	if err != nil {
		t.Fatal(err)
	}
	var points []string
	for _, m := range got {
		points = append(points, m.Point)
		if m.FSType != "tmpfs" {
			t.Errorf("%+v", m)
		}
	}
	if want := []string{over, wal}; !slices.Equal(points, want) {
		t.Errorf("found %q, expected %q", points, want)
	}
}
