package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// FuseMount is where a filesystem of a test is mounted.
type FuseMount struct {
	Dir  string
	base string // Dir lies directly below it
}

func requireFuse(t testing.TB) {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		Skip(t, "fuse", err.Error())
	}
}

// hasSpace waits for the mount and for servers to have registered: until then no space is free. The question
// is another process's: it may hang.
func (f FuseMount) hasSpace() error {
	if !slices.Contains(MountsBelow(f.base), f.Dir) {
		return errors.New("not mounted yet")
	}
	out, err := exec.Command("timeout", "-s", "KILL", "5", "stat", "-f", "-c", "%a", f.Dir).CombinedOutput()
	if text := strings.TrimSpace(string(out)); err != nil || text == "0" {
		return fmt.Errorf("no space yet: %v %s", err, text)
	}
	return nil
}

// Free ends whatever waits in it, by breaking the connection, and unmounts it. It may be called again.
func (f FuseMount) Free() {
	for range 3 {
		if !slices.Contains(MountsBelow(f.base), f.Dir) {
			return
		}
		_ = unix.Unmount(f.Dir, unix.MNT_FORCE) // the first one breaks, and finds it busy
	}
	_ = unix.Unmount(f.Dir, unix.MNT_DETACH) // most often there is nothing left
}
