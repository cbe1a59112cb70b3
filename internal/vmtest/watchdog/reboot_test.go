//go:build vm

package watchdog

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest"
)

// reboot is `on_stuck: reboot`: the payload waits in a local device that stands still, for which there is no
// lever, so that the run resets the machine.
func reboot(t *testing.T) {
	dir, suspend := still(t)
	s := scene.New(t)
	s.Timing, s.Data = timing(), filepath.Join(dir, "data")
	must(t, os.Mkdir(s.Data, 0o777))
	j := s.Run(t, "a", s.Payload(t, "-write", filepath.Join(s.Data, "file"), "-write-every", "100ms"),
		scene.Flags("--mount", dir+",fstype=ext4,fail_after=1s", "--probe-period", "200ms", "--probe-timeout", "2s",
			"--on-stuck", "reboot", "--budgets-drain", "2s", "--reboot-after", "6s"))
	j.WaitPhase(t, vmtest.Limit, "serving")
	testkit.Wait(t, vmtest.Limit, func() (bool, string) { return s.Count(t, "wrote") > 0, "the payload has not written" })
	vmtest.ExpectReset(t)
	suspend()
	j.Wait(t, vmtest.Limit)
	t.Fatal("the machine was not reset: ", j.ReasonText())
}

// stillDevice is the only one of the device mapper; nobody makes links to it here.
const stillDevice = "/dev/dm-0"

// still is an ext4 on a device that can be made to stand still.
func still(t *testing.T) (dir string, suspend func()) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 32<<20))
	vmtest.Run(t, "losetup", "/dev/loop0", image)
	vmtest.Run(t, "dmsetup", "create", "still", "--noudevsync", "--table", "0 65536 linear /dev/loop0 0")
	vmtest.Run(t, "mkfs.ext4", "-q", "-e", "remount-ro", stillDevice)
	dir = filepath.Join(t.TempDir(), "mnt")
	must(t, os.Mkdir(dir, 0o755))
	must(t, unix.Mount(stillDevice, dir, "ext4", 0, "errors=remount-ro"))
	return dir, func() { vmtest.Run(t, "dmsetup", "suspend", "--noudevsync", "--noflush", "--nolockfs", "still") }
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
