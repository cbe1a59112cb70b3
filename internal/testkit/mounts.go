package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ownMounts marks the copy of a test binary that has a mount namespace of its
// own. Not INTERLOCK_: Main takes those away.
const ownMounts = "TESTKIT_OWN_MOUNTS"

// MainWithMounts is Main for a package that mounts: as root it runs the tests
// in a private mount namespace, so that no mount of theirs is ever seen
// outside or left behind. Such tests mostly wait: more of them than there are
// cores run at once, unless the caller said otherwise.
func MainWithMounts(m *testing.M) {
	if os.Geteuid() == 0 {
		if os.Getenv(ownMounts) == "" {
			os.Exit(rerun())
		}
		if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
			fmt.Fprintln(os.Stderr, "FAIL testkit: cannot make the mounts private:", err)
			os.Exit(1)
		}
	}
	Main(m)
}

// rerun starts this binary again in a private mount namespace.
func rerun() int {
	runtime.LockOSThread() // the child's parent-death signal is of this thread
	cmd := exec.Command("/proc/self/exe", append([]string{"-test.parallel=6"}, os.Args[1:]...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), ownMounts+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1)
	}
	fmt.Fprintln(os.Stderr, "FAIL testkit: no private mount namespace:", err)
	return 1
}

// Unmount unmounts, and waits for a child of another test that is between its fork and its exec and has what was
// open there.
func Unmount(t testing.TB, at string) {
	t.Helper()
	Wait(t, time.Minute, func() (bool, string) {
		err := unix.Unmount(at, 0)
		if err != nil && !errors.Is(err, unix.EBUSY) {
			t.Fatalf("umount %s: %v", at, err)
		}
		return err == nil, at + " is busy"
	})
}
