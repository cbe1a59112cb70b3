package mountcheck

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// written waits for two more probes after EnableWrites.
func written(t *testing.T, w *Watcher) {
	t.Helper()
	first := w.plan.targets[0].probes()
	eventually(t, "two write probes", func() bool { return w.plan.targets[0].probes() >= first+3 })
}

func (t *target) probes() uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.writes.number
}

func TestWriteProbeLeavesNothing(t *testing.T) {
	dir := tmpfs(t, "writes")
	state := filepath.Join(dir, ".interlock")
	if err := os.Mkdir(state, 0o755); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(state, probe.Prefix+"of-a-killed-run")
	other := filepath.Join(state, "claim")
	for _, f := range []string{old, other} {
		if err := os.WriteFile(f, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w := watch(t, Config{Expect: []Expect{{Path: dir}}})
	want(t, w, dir, OK)
	looks := w.plan.targets[0].looked()
	eventually(t, "probes without writes", func() bool { return w.plan.targets[0].looked() > looks+2 })
	if _, err := os.Stat(old); err != nil || w.plan.targets[0].probes() != 0 {
		t.Fatalf("written before EnableWrites: %v", err)
	}
	w.EnableWrites(state)
	written(t, w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(state)
	if err != nil || len(names) != 1 || names[0].Name() != "claim" {
		t.Fatalf("left: %v %v", names, err)
	}
}

func TestAFullFilesystemIsOnlyAWarning(t *testing.T) {
	dir := tmpfs(t, "full")
	w := watch(t, Config{Expect: []Expect{{Path: dir}}})
	want(t, w, dir, OK)
	w.EnableWrites(dir)
	fill := filepath.Join(dir, "fill")
	if err := os.WriteFile(fill, make([]byte, 2<<20), 0o644); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("got %v, want ENOSPC", err)
	}
	if f := want(t, w, dir, Full); f.Fatal() {
		t.Errorf("got %+v", f)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	want(t, w, dir, OK)
}

func TestALostStateDirectoryIsWrong(t *testing.T) {
	dir := tmpfs(t, "statedir")
	state := filepath.Join(dir, "state")
	if err := os.Mkdir(state, 0o755); err != nil {
		t.Fatal(err)
	}
	w := watch(t, Config{Expect: []Expect{{Path: dir}}})
	want(t, w, dir, OK)
	w.EnableWrites(state)
	written(t, w)
	if err := os.Rename(state, state+"2"); err != nil {
		t.Fatal(err)
	}
	if f := want(t, w, dir, Wrong); !strings.Contains(f.Detail, "ENOENT") {
		t.Errorf("got %+v", f)
	}
}

// A link in the place of the state directory, or a mount over it, must not be written through.
func TestTheWriteProbeStaysOnItsMount(t *testing.T) {
	dir := tmpfs(t, "stays")
	state := filepath.Join(dir, "state")
	if err := os.Mkdir(state, 0o755); err != nil {
		t.Fatal(err)
	}
	w := watch(t, Config{Expect: []Expect{{Path: dir}}})
	want(t, w, dir, OK)
	mount(t, "over-state", state, "tmpfs", 0, "size=1m")
	w.plan.targets[0].enable("state")
	want(t, w, dir, Wrong)
	unmount(t, state, 0)
	want(t, w, dir, OK)
	elsewhere := directory(t, "elsewhere")
	if err := os.Remove(state); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, state); err != nil {
		t.Fatal(err)
	}
	want(t, w, dir, Wrong)
}

func TestAReadOnlyMountIsNotWrittenTo(t *testing.T) {
	dir := tmpfs(t, "readonly")
	mountFlags(t, dir, unix.MS_REMOUNT|unix.MS_RDONLY)
	w := watch(t, Config{Expect: []Expect{{Path: dir, Require: []string{"ro"}}}})
	want(t, w, dir, OK)
	w.EnableWrites(dir)
	looks := w.plan.targets[0].looked()
	eventually(t, "probes", func() bool { return w.plan.targets[0].looked() > looks+3 })
	if n := w.plan.targets[0].probes(); n != 0 {
		t.Errorf("%d write probes", n)
	}
	quietFor(t, w, 50*time.Millisecond)
}

// ext4 on a loop device: O_DIRECT, a write that hangs while all reads go on, an error that turns it
// read-only.
func TestWritesThatHangOnExt4(t *testing.T) {
	dir := ext4(t)
	w := watch(t, Config{Expect: []Expect{{Path: dir, FSType: "ext4"}}, Timeout: time.Second})
	want(t, w, dir, OK)
	w.EnableWrites(dir)
	written(t, w)
	thaw := freeze(t, dir)
	f := want(t, w, dir, Hung)
	for _, reading := range []probe.Stage{probe.StageOpen, probe.StageStatfs, probe.StageSentinel} {
		if strings.HasPrefix(f.Detail, reading.String()+":") {
			t.Errorf("not a stage of the write probe: %+v", f)
		}
	}
	thaw()
	want(t, w, dir, OK)
}

func ext4(t testing.TB) string {
	t.Helper()
	needMounts(t)
	for _, tool := range []string{"mkfs.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: %v", tool, err)
		}
	}
	dir := directory(t, "ext4")
	image := dir + ".img"
	command(t, "truncate", "-s", "16M", image)
	command(t, "mkfs.ext4", "-q", "-e", "remount-ro", "-O", "^has_journal", image)
	if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		t.Skipf("no loop device here: %v: %s", err, out)
	}
	t.Cleanup(func() { unmount(t, dir, 0) })
	return dir
}

func command(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// The ioctls of fsfreeze(8).
const (
	fiFreeze = 0xc0045877
	fiThaw   = 0xc0045878
)

// freeze stops all writes to a filesystem until thaw, or the end of the test.
func freeze(t *testing.T, dir string) (thaw func()) {
	t.Helper()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetInt(int(d.Fd()), fiFreeze, 0); err != nil {
		t.Fatal(err)
	}
	frozen := true
	thaw = func() {
		if !frozen {
			return
		}
		frozen = false
		if err := unix.IoctlSetInt(int(d.Fd()), fiThaw, 0); err != nil {
			t.Error(err)
		}
		d.Close()
	}
	t.Cleanup(thaw)
	return thaw
}
