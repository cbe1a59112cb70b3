package mountcheck

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestLookFindsAMountOK(t *testing.T) {
	dir := tmpfs(t, "good")
	f := one(t, Config{Expect: []Expect{{Path: dir, FSType: "tmpfs", Source: "tmpfs-*", Require: []string{"rw"}, Forbid: []string{"noexec"}}}})
	if f.Kind != OK {
		t.Fatalf("got %+v", f)
	}
}

func TestLookNeverTakesTheBareDirectory(t *testing.T) {
	dir := directory(t, "bare")
	f := one(t, Config{Expect: []Expect{{Path: dir}}})
	if f.Kind != Absent || f.Detail == "" || f.Do == "" {
		t.Fatalf("got %+v", f)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Fatalf("something was created: %v %v", names, err)
	}
}

func TestUnmountIsSeenAndNothingIsWrittenBelow(t *testing.T) {
	dir := tmpfs(t, "lazy")
	w := watch(t, Config{Expect: []Expect{{Path: dir}}})
	want(t, w, dir, OK)
	w.EnableWrites(dir)
	unmount(t, dir, unix.MNT_DETACH)
	want(t, w, dir, Absent)
	quietFor(t, w, 300*time.Millisecond)
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Fatalf("something was created: %v %v", names, err)
	}
}

func TestOvermountIsReplaced(t *testing.T) {
	dir := tmpfs(t, "over")
	w := watch(t, Config{Expect: []Expect{{Path: dir}}})
	want(t, w, dir, OK)
	mount(t, "tmpfs-over", dir, "tmpfs", 0, "size=1m")
	want(t, w, dir, Replaced)
	unmount(t, dir, 0)
	want(t, w, dir, OK)
}

func TestRemountReadOnlyIsSeen(t *testing.T) {
	dir := tmpfs(t, "ro")
	w := watch(t, Config{Expect: []Expect{{Path: dir}}})
	want(t, w, dir, OK)
	mountFlags(t, dir, unix.MS_REMOUNT|unix.MS_RDONLY)
	want(t, w, dir, ReadOnly)
	mountFlags(t, dir, unix.MS_REMOUNT)
	want(t, w, dir, OK)
	mountFlags(t, dir, unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY)
	want(t, w, dir, ReadOnly)
}

func mountFlags(t *testing.T, dir string, flags uintptr) {
	t.Helper()
	if err := unix.Mount("", dir, "", flags, ""); err != nil {
		t.Fatal(err)
	}
}

func TestTheMountOfTheDataIsWatched(t *testing.T) {
	dir := tmpfs(t, "data")
	data := filepath.Join(dir, "db")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	w := watch(t, Config{Data: data})
	want(t, w, dir, OK)
	unmount(t, dir, unix.MNT_DETACH)
	want(t, w, dir, Absent)
}
