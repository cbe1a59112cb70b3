package device

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// loopSpec is a loop device of this test alone, over a file with a filesystem.
func loopSpec(t *testing.T, fstype string) Spec {
	t.Helper()
	testkit.RequireRoot(t)
	base := t.TempDir()
	image, point, state := filepath.Join(base, "image"), filepath.Join(base, "mnt"), filepath.Join(base, "state")
	must(t, os.Mkdir(point, 0o755))
	must(t, os.Mkdir(state, 0o755))
	must(t, os.WriteFile(image, nil, 0o644))
	size := int64(16 << 20)
	if fstype == "xfs" {
		size = 320 << 20
	}
	must(t, os.Truncate(image, size))
	run(t, "mkfs."+fstype, "-q", image)
	loop := testkit.FreeLoop(t)
	s := Spec{Name: "data", Path: loop, FSType: fstype, Point: point, State: state, Options: "noatime",
		Attach: []string{"losetup", loop, image}, Detach: []string{"losetup", "-d", loop}}
	t.Cleanup(func() {
		_ = unix.Unmount(point, unix.MNT_DETACH)              // most often there is nothing left
		_ = (&work{}).command(context.Background(), s.Detach) // as above
	})
	return s
}
