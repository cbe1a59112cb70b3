package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

func itoa(n int) string { return strconv.Itoa(n) }

// smallDisk mounts an ext4 of its own, 8 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	image, at := filepath.Join(dir, "image"), filepath.Join(dir, "disk")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 8<<20))
	must(t, os.Mkdir(at, 0o700))
	for _, argv := range [][]string{{"mkfs.ext4", "-q", image}, {"mount", "-o", "loop", image, at}} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			testkit.Skip(t, "loop mount", fmt.Sprintf("%v: %v: %s", argv, err, out))
		}
	}
	t.Cleanup(func() { must(t, unix.Unmount(at, 0)) })
	return at
}

// freeze stops all writes to a filesystem, as a disk does that hangs, until thaw.
func freeze(t *testing.T, dir string) (thaw func()) {
	t.Helper()
	const fifreeze, fithaw = 0xC0045877, 0xC0045878
	d, err := os.Open(dir)
	must(t, err)
	must(t, unix.IoctlSetInt(int(d.Fd()), fifreeze, 0))
	frozen := true
	thaw = func() {
		if frozen {
			frozen = false
			must(t, errors.Join(unix.IoctlSetInt(int(d.Fd()), fithaw, 0), d.Close()))
		}
	}
	t.Cleanup(thaw)
	return thaw
}

// A disk that hangs costs no more than the try: the write is ambiguous, lands when the disk is back, and
// is found then. Looking and waiting go on meanwhile.
func TestHangingDisk(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(smallDisk(t), "lock")
	p, err := grantedPlace(path, "a")
	must(t, err)
	base, err := p.Write(ctx, []byte("base"), lock.Version{})
	must(t, err)
	thaw := freeze(t, filepath.Dir(path))
	begin := time.Now()
	r, err := p.Write(ctx, []byte("mine"), base.Version)
	if took := time.Since(begin); r.Outcome != lock.Ambiguous || !errors.Is(err, lock.ErrUnreachable) || took > 2*p.d.set.Timing.TryTimeout {
		t.Fatalf("a write to a disk that hangs came to %v (%v) after %v, expected Ambiguous after one try", r.Outcome, err, took)
	}
	if _, err := p.d.View(ctx); err != nil {
		t.Fatalf("view while the disk takes no writes: %v", err)
	}
	thaw()
	r, err = p.Write(ctx, []byte("mine"), base.Version)
	must(t, err)
	if r.Outcome != lock.Moved || string(r.Current.Data) != "mine" {
		t.Fatalf("the next write came to %v with %q, expected Moved with the one that landed", r.Outcome, r.Current.Data)
	}
	r, err = p.Release(ctx, []byte("drained"), r.Current.Version)
	if r.Outcome != lock.Committed {
		t.Fatalf("release came to %v (%v)", r.Outcome, err)
	}
}

// A full disk costs a holder nothing, as its space was taken when the file was made; a lock that does
// not exist cannot be made there, and leaves nothing half-made.
func TestFullDisk(t *testing.T) {
	ctx := context.Background()
	dir := smallDisk(t)
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
