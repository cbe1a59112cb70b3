// Package storage has the end-to-end tests of what a run does with its storage: data directory, claim,
// mounts, restore, hooks, dry run, drain.
package storage

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// inNamespace marks the copy of the test binary that has a mount namespace of its own, so that no mount
// of a test is ever seen outside or left behind.
const inNamespace = "STORAGE_TEST_NAMESPACE"

func TestMain(m *testing.M) {
	if os.Getenv(inNamespace) == "" && os.Geteuid() == 0 {
		os.Exit(rerun())
	}
	if os.Geteuid() == 0 {
		if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
			fmt.Fprintln(os.Stderr, "storage: cannot make the mounts private:", err)
			os.Exit(1)
		}
	}
	testkit.Main(m)
}

// rerun starts this binary again in a private mount namespace. The tests mostly wait: more of them than
// there are cores run at once, unless the caller said otherwise.
func rerun() int {
	runtime.LockOSThread() // the child's parent-death signal is of this thread
	cmd := exec.Command("/proc/self/exe", append([]string{"-test.parallel=6"}, os.Args[1:]...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1)
	}
	fmt.Fprintln(os.Stderr, "storage: no private mount namespace:", err)
	return 1
}

// needMounts skips where no test may mount.
func needMounts(t testing.TB) {
	t.Helper()
	testkit.RequireRoot(t)
}
