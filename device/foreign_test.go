package device

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// still fails unless the device is attached, and mounted at these places below the test's own.
func still(t *testing.T, s Spec, points ...string) {
	t.Helper()
	if mark, err := marked(s); mark == "" || err != nil {
		t.Errorf("it was taken away: %q, %v", mark, err)
	}
	if got := testkit.MountsBelow(filepath.Dir(s.Point)); strings.Join(got, " ") != strings.Join(points, " ") {
		t.Errorf("mounted: %v, expected %v", got, points)
	}
}

// A person's attachment and mount, made at our place while we waited for the lock, outlives a run that was
// refused for it.
func TestOthersMount(t *testing.T) {
	s := loopSpec(t, "ext4")
	run(t, s.Attach...)
	must(t, unix.Mount(s.Path, s.Point, "ext4", 0, ""))
	refused(t, s, "it is attached, and not by us")
	_, err := Down(context.Background(), s)
	must(t, err)
	still(t, s, s.Point)
	testkit.Unmount(t, s.Point)
	run(t, s.Detach...)
}

// A run that was refused because another lock has the device takes nothing away from it.
func TestOtherLocksDevice(t *testing.T) {
	s := loopSpec(t, "ext4")
	s.Tenure = Tenure{"file:/lock", "1"}
	up(t, s)
	other := s
	other.Tenure.Lock = "file:/other"
	refused(t, other, `for the lock "file:/lock"`)
	_, err := Down(context.Background(), other)
	must(t, err)
	still(t, s, s.Point)
	testkit.Unmount(t, s.Point)
	_, err = Down(context.Background(), other)
	must(t, err)
	still(t, s)
	down(t, s)
}

// What an earlier tenure left is not synced by a Down either: a stop may come before an Up has cleared it.
func TestDownOfEarlierTenure(t *testing.T) {
	s := loopSpec(t, "ext4")
	s.Options, s.Tenure = "commit=300", Tenure{"file:/lock", "1"}
	up(t, s)
	must(t, os.WriteFile(filepath.Join(s.Point, "dirty"), []byte("x"), 0o644))
	later := s
	later.Tenure.Token = "2"
	if rest := down(t, later); rest.Synced {
		t.Error("it says that it was synced")
	}
	up(t, later)
	if _, err := os.Stat(filepath.Join(s.Point, "dirty")); !os.IsNotExist(err) {
		t.Errorf("what an earlier tenure had in memory was written: %v", err)
	}
	down(t, later)
}

// A file behind a loop device that is renamed or removed meanwhile makes it no other device.
func TestBackingRenamed(t *testing.T) {
	s := loopSpec(t, "ext4")
	image := s.Attach[len(s.Attach)-1]
	up(t, s)
	must(t, os.Rename(image, image+".moved"))
	down(t, s)
	must(t, os.Rename(image+".moved", image))
	up(t, s)
	must(t, os.Remove(image))
	down(t, s)
}

// A kill before the attachment leaves an account without one. What somebody attaches under that name
// afterwards, and mounts, or what is another filesystem, is not ours.
func TestKilledBeforeAttaching(t *testing.T) {
	s := loopSpec(t, "ext4")
	s.Tenure = Tenure{"file:/lock", "1"}
	w, err := begin(s)
	must(t, err)
	must(t, w.state.begin(w.Tenure))
	must(t, w.close())
	run(t, s.Attach...)
	later := s
	later.Tenure.Token, later.UUID = "2", "00000000-0000-0000-0000-000000000001"
	refused(t, later, "it is attached, and not by us")
	_, err = Down(context.Background(), later)
	must(t, err)
	still(t, s)
	later.UUID = ""
	elsewhere := filepath.Join(filepath.Dir(s.Point), "elsewhere")
	must(t, os.Mkdir(elsewhere, 0o755))
	must(t, unix.Mount(s.Path, elsewhere, "ext4", 0, ""))
	t.Cleanup(func() { _ = unix.Unmount(elsewhere, unix.MNT_DETACH) }) // most often it is gone
	refused(t, later, "it is attached, and not by us")
	_, err = Down(context.Background(), later)
	must(t, err)
	still(t, s, elsewhere)
	testkit.Unmount(t, elsewhere)
	run(t, s.Detach...)
}

// A device whose filesystem somebody still has where we do not see it, because he took it along into another
// mount namespace, is not detached under him.
func TestElsewhereInNamespace(t *testing.T) {
	s := loopSpec(t, "ext4")
	tried := filepath.Join(t.TempDir(), "tried")
	s.Detach = []string{"sh", "-c", "touch " + tried + " && " + strings.Join(s.Detach, " ")}
	up(t, s)
	s.Limits.Detach = 2 * time.Second
	p := testkit.Start(t, "unshare", "-m", "--propagation", "private", "sh", "-c", "echo there && exec sleep 1000")
	testkit.Wait(t, 20*time.Second, func() (bool, string) { return strings.Contains(p.Stdout(t), "there"), "it is not there" })
	if _, err := Down(context.Background(), s); err == nil || !strings.Contains(err.Error(), "another namespace") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(tried); !os.IsNotExist(err) {
		t.Errorf("a detachment was tried: %v", err)
	}
	p.Signal(t, unix.SIGKILL)
	<-p.Exited()
	s.Limits.Detach = 0
	down(t, s)
}

// A command that says more than anybody reads is no reason to use all memory.
func TestTalkative(t *testing.T) {
	s := loopSpec(t, "ext4")
	s.Attach = []string{"sh", "-c", "head -c 300000000 /dev/zero | tr '\\0' x; echo the end; exit 3"}
	var before, after unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &before))
	err := Up(context.Background(), s)
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &after))
	if err == nil || !strings.HasSuffix(err.Error(), "the end") || len(err.Error()) > 10000 {
		t.Errorf("got %d bytes, expected the end of what it said", len(err.Error()))
	}
	if grown := after.Maxrss - before.Maxrss; grown > 100<<10 {
		t.Errorf("%d KiB were used for it", grown)
	}
}

// An attachment by several steps that failed or was killed between them is undone, too, although there is no device
// to be seen.
func TestHalfAttached(t *testing.T) {
	s := loopSpec(t, "ext4")
	half := filepath.Join(t.TempDir(), "half")
	s.Attach = []string{"sh", "-c", "touch " + half + " && echo half-way >&2 && exit 3"}
	s.Detach = []string{"sh", "-c", "rm " + half + " && echo nothing there >&2 && exit 1"}
	gone := func() {
		t.Helper()
		if _, err := os.Stat(half); !os.IsNotExist(err) {
			t.Errorf("it is still there: %v", err)
		}
	}
	refused(t, s, "half-way")
	gone()
	w, err := begin(s)
	must(t, err)
	must(t, w.state.begin(w.Tenure))
	must(t, w.close())
	must(t, os.WriteFile(half, nil, 0o600)) // killed here
	down(t, s)
	gone()
	must(t, os.WriteFile(half, nil, 0o600))
	down(t, s) // nothing of ours
	if _, err := os.Stat(half); err != nil {
		t.Error(err)
	}
}
