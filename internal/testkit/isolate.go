package testkit

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// RequireRoot skips unless the test runs as root.
func RequireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Skip(t, "root", "needs root")
	}
}

// AsPID1 turns a command into one that runs as process 1 of a new PID
// namespace, with a /proc of its own. Signals go to InnerPid, not to the
// wrapper, which ignores TERM. Its exit code is that of the command; when a
// signal ended the command it is only not 0 (unshare of util-linux 2.38
// stumbles over SIGKILL).
func AsPID1(t testing.TB, args ...string) []string {
	t.Helper()
	RequireRoot(t)
	requireTool(t, "unshare")
	return append([]string{"unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "--"}, args...)
}

// BoundedPID1 is AsPID1 without the right to make a PID namespace below.
func BoundedPID1(t testing.TB, args ...string) []string {
	t.Helper()
	requireTool(t, "setpriv")
	return AsPID1(t, append([]string{"setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--"}, args...)...)
}

// FreezerOnly turns a command into one that sees no cgroup v2 tree, by a
// mount namespace of its own; skipped where there is no v1 freezer to fall
// back on.
func FreezerOnly(t testing.TB, args ...string) []string {
	t.Helper()
	RequireRoot(t)
	const unified = "/sys/fs/cgroup/unified"
	for _, dir := range []string{unified, "/sys/fs/cgroup/freezer"} {
		if _, err := os.Stat(dir); err != nil {
			Skip(t, "cgroup1", err.Error())
		}
	}
	script := `mount -t tmpfs none ` + unified + ` && exec "$@"`
	return append([]string{"unshare", "--mount", "--", "sh", "-c", script, "sh"}, args...)
}

// Unprivileged turns a command into one that runs as uid and gid 65534
// without any capability.
func Unprivileged(t testing.TB, args ...string) []string {
	t.Helper()
	RequireRoot(t)
	requireTool(t, "setpriv")
	return append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
		"--bounding-set=-all", "--inh-caps=-all", "--"}, args...)
}

func requireTool(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		Skip(t, name, name+" is not installed (Debian: util-linux)")
	}
}

// InnerPid waits for the one child of a wrapper made by AsPID1, in numbers of
// the test process. It may still be on its way to the command's image.
func InnerPid(t testing.TB, p *Process) int {
	t.Helper()
	var inner int
	Wait(t, 10*time.Second, func() (bool, string) {
		for _, c := range live(descendants(p.Pid())) {
			if c.ppid == p.Pid() {
				inner = c.pid
				return true, ""
			}
		}
		return false, "the wrapper has no child"
	})
	return inner
}

// PublicDir is a temporary folder that any user may enter and write to.
func PublicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pub")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o777))
	return dir
}
