package mountcheck

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck/probe"
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
	dir := directory(t, "lazy")
	before := changed(t, dir)
	mount(t, "tmpfs-lazy", dir, "tmpfs", 0, "size=1m")
	w := watch(t, Config{Expect: []Expect{{Path: dir}}})
	want(t, w, dir, OK)
	w.EnableWrites(dir)
	written(t, w)
	unmount(t, dir, unix.MNT_DETACH)
	want(t, w, dir, Absent)
	quietFor(t, w, 300*time.Millisecond)
	if after := changed(t, dir); after != before {
		t.Fatalf("something was written in the bare directory: %v, before %v", after, before)
	}
}

// changed is when an entry was made or removed in a directory.
func changed(t *testing.T, dir string) unix.Timespec {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	return st.Mtim
}

// Between the table's reading and the helper's opening the mount may go.
func TestTheHelperTouchesOnlyTheMountMeant(t *testing.T) {
	dir := directory(t, "meant")
	before := changed(t, dir)
	mount(t, "meant", dir, "tmpfs", 0, "size=1m")
	m, err := Trace(dir)
	if err != nil {
		t.Fatal(err)
	}
	unmount(t, dir, 0)
	v := newEnv(quick(t, Config{}))
	defer v.close()
	p := prober{env: v, mount: dir}
	byID := m.ident()
	byID.Unique = 0
	byDevice := byID
	byDevice.ID = 0
	for _, ident := range []probe.Ident{m.ident(), byID, byDevice} {
		for _, op := range []probe.Op{probe.OpStatfs, probe.OpSentinel, probe.OpRead, probe.OpWrite, probe.OpInit} {
			r, f := p.one(t.Context(), dir, ident, probe.Step{Op: op, Text: "x", Limit: 1})
			if f.Kind != OK || r.Status != probe.StatusOther || r.Stage != probe.StageOpen {
				t.Errorf("operation %d, %+v: got %+v, %+v", op, ident, r, f)
			}
		}
	}
	if err := p.end(); err != nil {
		t.Error(err)
	}
	if after := changed(t, dir); after != before {
		t.Errorf("something was written in the bare directory: %v, before %v", after, before)
	}
}

func TestOvermountIsReplaced(t *testing.T) {
	dir := tmpfs(t, "over")
	w := watch(t, Config{Expect: []Expect{{Path: dir}}, Period: time.Hour})
	want(t, w, dir, OK)
	mount(t, "tmpfs-over", dir, "tmpfs", 0, "size=1m")
	want(t, w, dir, Replaced)
	unmount(t, dir, 0)
	want(t, w, dir, OK)
}

func TestRemountReadOnlyIsSeen(t *testing.T) {
	dir := tmpfs(t, "ro")
	w := watch(t, Config{Expect: []Expect{{Path: dir}}, Period: time.Hour})
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
