package device

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

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
	loop := freeLoop(t)
	s := Spec{Name: "data", Path: loop, FSType: fstype, Point: point, State: state, Options: "noatime",
		Attach: []string{"losetup", loop, image}, Detach: []string{"losetup", "-d", loop}}
	t.Cleanup(func() {
		_ = unix.Unmount(point, unix.MNT_DETACH)              // most often there is nothing left
		_ = (&work{}).command(context.Background(), s.Detach) // as above
	})
	return s
}

// freeLoop makes a device with a number of our own, which no losetup -f of others can take.
func freeLoop(t *testing.T) string {
	t.Helper()
	ctl, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		testkit.Skip(t, "loop", err.Error())
	}
	number := 1000 + os.Getpid()%10000
	for range 100 {
		if err = unix.IoctlSetInt(int(ctl.Fd()), unix.LOOP_CTL_ADD, number); err == nil {
			break
		}
		number++
	}
	must(t, err)
	t.Cleanup(func() {
		// Others may look at it just now.
		testkit.Wait(t, 20*time.Second, func() (bool, string) {
			err := unix.IoctlSetInt(int(ctl.Fd()), unix.LOOP_CTL_REMOVE, number)
			return err == nil, fmt.Sprint(err)
		})
		must(t, ctl.Close())
	})
	path := fmt.Sprintf("/dev/loop%d", number)
	testkit.Wait(t, 20*time.Second, func() (bool, string) {
		_, err := os.Stat(path)
		return err == nil, path + " is not there"
	})
	return path
}
