package testkit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// FreeLoop makes a loop device with a number of its own, which no losetup -f of others can take, and removes it
// at the end of the test; whatever is attached to it must be detached by then.
func FreeLoop(t testing.TB) string {
	t.Helper()
	RequireRoot(t)
	ctl, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		Skip(t, "loop", err.Error())
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
		Wait(t, 20*time.Second, func() (bool, string) {
			err := unix.IoctlSetInt(int(ctl.Fd()), unix.LOOP_CTL_REMOVE, number)
			return err == nil, fmt.Sprintf("remove loop %d: %v", number, err)
		})
		must(t, ctl.Close())
	})
	path := fmt.Sprintf("/dev/loop%d", number)
	Wait(t, 20*time.Second, func() (bool, string) {
		_, err := os.Stat(path)
		return err == nil, path + " is not there"
	})
	return path
}

// Attached tells whether a loop device has a file.
func Attached(t testing.TB, loop string) bool {
	t.Helper()
	_, err := os.Stat("/sys/block/" + loop[len("/dev/"):] + "/loop")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}
