package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

func itoa(n int) string { return strconv.Itoa(n) }

// ownMounts tells that the test runs in a mount namespace of its own, so that nothing that it mounts is
// seen outside or outlives it, however it ends. Where it does not yet, it runs the test again in one.
func ownMounts(t *testing.T) bool {
	t.Helper()
	const inside = "FILE_TEST_OWN_MOUNTS"
	if os.Getenv(inside) != "" {
		return true
	}
	testkit.RequireRoot(t)
	runtime.LockOSThread() // the parent of Pdeathsig is a thread
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in its own mount namespace: %v\n%s", err, out)
	}
	if strings.Contains(string(out), "--- SKIP") {
		t.Skipf("%s", out)
	}
	return false
}

// smallDisk mounts an ext4 of its own, 8 MiB.
func smallDisk(t *testing.T) (image, at string) {
	t.Helper()
	image = filepath.Join(t.TempDir(), "image")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 8<<20))
	run(t, "mkfs.ext4", "-q", image)
	return image, mountImage(t, image)
}

func mountImage(t *testing.T, image string) string {
	t.Helper()
	at := t.TempDir()
	run(t, "mount", "-o", "loop", image, at)
	t.Cleanup(func() { testkit.Unmount(t, at) })
	return at
}

// run skips where the machine does not let us make disks.
func run(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		testkit.Skip(t, "loop mount", fmt.Sprintf("%v: %v: %s", argv, err, out))
	}
}

// afterPowerCut mounts what is on the disk now, and nothing of what is in memory only.
func afterPowerCut(t *testing.T, image string) snapshot {
	t.Helper()
	cut := filepath.Join(t.TempDir(), "image")
	must(t, os.WriteFile(cut, readFile(t, image), 0o600))
	return loadFile(t, filepath.Join(mountImage(t, cut), "lock"))
}

// A granted token and a released record are on the disk when Await and Release return.
func TestPowerCut(t *testing.T) {
	if !ownMounts(t) {
		return
	}
	ctx := context.Background()
	image, dir := smallDisk(t)
	path := filepath.Join(dir, "lock")
	for token := int64(1); token <= 3; token++ {
		p, err := grantedPlace(path, "a")
		must(t, err)
		if got := afterPowerCut(t, image); got.Token != token {
			t.Fatalf("after the grant of token %d the disk has %+v", token, got.state)
		}
		got, err := p.Read(ctx)
		must(t, err)
		for _, data := range []string{"running", "still running"} {
			w, err := p.Write(ctx, []byte(data), got.Version)
			must(t, err)
			got.Version = w.Version
		}
		if now := afterPowerCut(t, image); now.Token != token {
			t.Fatalf("after heartbeats of token %d the disk has %+v", token, now.state)
		}
		drained := fmt.Sprint("drained by ", token)
		_, err = p.Release(ctx, []byte(drained), got.Version)
		must(t, err)
		if now := afterPowerCut(t, image); string(now.data) != drained {
			t.Fatalf("after the release the disk has record %q, expected %q", now.data, drained)
		}
	}
}

// A full disk costs a holder nothing, as its space was taken when the file was made; a lock that does
// not exist cannot be made there, and leaves nothing half-made.
func TestFullDisk(t *testing.T) {
	if !ownMounts(t) {
		return
	}
	ctx := context.Background()
	_, dir := smallDisk(t)
	p, err := grantedPlace(filepath.Join(dir, "lock"), "a")
	must(t, err)
	fill := make([]byte, 16<<20)
	if err := os.WriteFile(filepath.Join(dir, "fill"), fill, 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk took 16 MiB: %v", err)
	}
	version := lock.Version{}
	for range 7 {
		r, err := p.Write(ctx, make([]byte, 5000), version)
		if r.Outcome != lock.Committed {
			t.Fatalf("a heartbeat on a full disk came to %v (%v)", r.Outcome, err)
		}
		version = r.Version
	}
	if r, err := p.Release(ctx, []byte("drained"), version); r.Outcome != lock.Committed {
		t.Fatalf("release on a full disk came to %v (%v)", r.Outcome, err)
	}
	if _, err := joinedPlace(ctx, filepath.Join(dir, "other"), "b"); !errors.Is(err, lock.ErrUnreachable) {
		t.Fatalf("a new lock on a full disk: %v, expected ErrUnreachable", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".other*")); err != nil || len(left) != 0 {
		t.Fatalf("left behind: %v (%v)", left, err)
	}
}
