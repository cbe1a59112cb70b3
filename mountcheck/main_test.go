package mountcheck

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// inNamespace marks the copy of the test binary that has a mount namespace of its own, so that no mount
// of a test is ever seen outside or left behind.
const inNamespace = "MOUNTCHECK_TEST_NAMESPACE"

// A helper of the program is dispatched from an init, too: it asks on its first thread, by which others see it in
// /proc when the kernel does not let it go.
func init() {
	if os.Args[0] == probe.Name {
		os.Exit(probe.Main())
	}
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(watchOnly); dir != "" {
		os.Exit(watchAndWait(dir))
	}
	if os.Getenv(inNamespace) == "" {
		if status, ok := rerun(); ok {
			os.Exit(status)
		}
		fmt.Fprintln(os.Stderr, "mountcheck: no private mount namespace here: every test with a real mount is skipped")
	} else if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		fmt.Fprintln(os.Stderr, "mountcheck: cannot make the mounts private:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// rerun starts this binary again in a private mount namespace; ok is false where that is forbidden.
func rerun() (status int, ok bool) {
	runtime.LockOSThread() // the child's parent-death signal is of this thread
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, true
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1), true
	}
	fmt.Fprintln(os.Stderr, "mountcheck:", err)
	return 0, false
}

// needMounts skips where no test may mount.
func needMounts(t testing.TB) {
	t.Helper()
	if os.Getenv(inNamespace) == "" {
		t.Skip("needs a private mount namespace (root, or user namespaces)")
	}
}
