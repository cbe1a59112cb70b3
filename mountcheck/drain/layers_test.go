package drain_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest/late"
	"github.com/interlock-run/interlock/mountcheck/drain"
)

func mounted(t *testing.T, source, fstype, options string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "mnt")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(source, dir, fstype, 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // most often there is nothing left
	return dir
}

// What ends on this machine needs nothing.
func TestLocal(t *testing.T) {
	testkit.RequireRoot(t)
	for _, dir := range []string{mounted(t, "x", "tmpfs", ""), t.TempDir()} {
		volume := late.Capture(t, drain.Volume{Path: dir})
		if v := volume.Ask(); v.State != drain.Drained || !volume.Plan.Local(dir) {
			t.Errorf("%+v", v)
		}
	}
}

// An overlay writes where its upper directory lies.
func TestOverlay(t *testing.T) {
	testkit.RequireRoot(t)
	base := mounted(t, "x", "tmpfs", "")
	for _, d := range []string{"lower", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(base, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir := mounted(t, "overlay", "overlay", fmt.Sprintf("lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", base, base, base))
	if v := late.Capture(t, drain.Volume{Path: dir}).Ask(); v.State != drain.Drained {
		t.Errorf("%+v", v)
	}
}

// A filesystem in a file on a FUSE filesystem is as drained as that is: the name of its device says
// nothing of it.
func TestLoopOverFUSE(t *testing.T) {
	f := testkit.StartFaultFS(t, "")
	image := filepath.Join(f.Dir, "image")
	run(t, "truncate", "-s", "16M", image)
	run(t, "mkfs.ext4", "-q", image)
	loop := strings.TrimSpace(run(t, "losetup", "--find", "--show", image))
	t.Cleanup(func() { _ = exec.Command("losetup", "-d", loop).Run() }) // most often it is gone
	dir := mounted(t, loop, "ext4", "")
	volume := late.Capture(t, drain.Volume{Path: dir})
	t.Cleanup(f.Free)
	volume.Done.Synced = true
	if v := volume.Ask(); v.State != drain.Pending || !strings.Contains(v.Why, "writes by itself") {
		t.Errorf("mounted: %+v", v)
	}
	volume.Done.Left = true
	if v := volume.Ask(); v.State != drain.Kept {
		t.Errorf("kept mounted: %+v", v)
	}
	volume.Done.Left = false
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	run(t, "losetup", "-d", loop)
	volume.Done.Detached = true
	for _, settled := range []bool{false, true} { // nobody unmounts what the loop device stood on: it is not waited for
		volume.Done.Settled = settled
		if v := volume.Ask(); v.State != drain.Kept {
			t.Errorf("the FUSE filesystem is there: %+v", v)
		}
	}
	f.Free()
	volume.Until(t, drain.Drained)
}

// Who has not looked before the end cannot tell after it.
func TestNeverFromIgnorance(t *testing.T) {
	testkit.RequireRoot(t)
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		testkit.Skip(t, "fuse", err.Error())
	}
	dir := mounted(t, "x", "fuse", fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd))
	volume := late.Capture(t, drain.Volume{Path: dir})
	if err := volume.Plan.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
	volume.Done.Detached = true
	if v := volume.Ask(); v.State != drain.Unknown {
		t.Errorf("a plan that was closed: %+v", v)
	}
}

// A daemon that had ended before it was looked at was never seen.
func TestDaemonNeverSeen(t *testing.T) {
	f := testkit.StartFaultFS(t, "")
	f.Signal(t, unix.SIGKILL)
	f.Wait(t, late.Limit)
	volume := late.Capture(t, drain.Volume{Path: f.Dir})
	f.Free()
	volume.Done.Detached = true
	if v := volume.Ask(); v.State != drain.Unknown {
		t.Errorf("%+v", v)
	}
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}
