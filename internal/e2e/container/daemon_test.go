package container

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// A daemon is a Docker daemon of one test: its data, sockets and mounts are its own, and it has no network.
type daemon struct {
	dir, group string
	process    *testkit.Process
}

// runDaemon skips where there is no daemon, or where it does not work.
func runDaemon(t testing.TB) *daemon {
	t.Helper()
	if !testkit.Long() {
		testkit.Skip(t, "docker", "only in the long form (INTERLOCK_TEST_LONG=1), which installs a daemon")
	}
	testkit.RequireRoot(t)
	for _, tool := range []string{"dockerd", "docker", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			testkit.Skip(t, "docker", tool+" is not installed (Debian: docker.io)")
		}
	}
	unmake := traces(t)
	dir := testkit.PublicDir(t)
	d := &daemon{dir: dir, group: "interlock-docker-" + filepath.Base(dir)}
	// Its mounts end with its mount namespace, and what it leaves in /run lies there too.
	d.process = testkit.Start(t, "unshare", "--mount", "--propagation", "private", "sh", "-c", `mount -t tmpfs tmpfs /run && exec "$@"`, "sh",
		"dockerd", "--host", d.host(), "--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid",
		"--cgroup-parent", "/"+d.group, "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false")
	t.Cleanup(func() { d.end(t); unmake() })
	word, up := testkit.Poll(30*time.Second, d.answers)
	if !up || d.ended() {
		testkit.Skip(t, "docker", fmt.Sprintf("the daemon does not work here: %s: %s", word, lastLine(d.process.Stderr(t))))
	}
	return d
}

func (d *daemon) ended() bool {
	select {
	case <-d.process.Exited():
		return true
	default:
		return false
	}
}

// answers ends the waiting; a daemon that has ended never will answer.
func (d *daemon) answers() (bool, string) {
	if d.ended() {
		return true, "it has ended"
	}
	out, err := d.docker("version").CombinedOutput()
	return err == nil, lastLine(string(out))
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

func (d *daemon) host() string { return "unix://" + d.dir + "/docker.sock" }

// env is what the client needs to talk to this daemon alone. The old builder needs no plugin.
func (d *daemon) env() []string {
	return []string{"DOCKER_HOST=" + d.host(), "DOCKER_CONFIG=" + d.dir + "/config", "DOCKER_BUILDKIT=0"}
}

func (d *daemon) docker(args ...string) *exec.Cmd {
	cmd := exec.Command("docker", args...)
	cmd.Env = append(os.Environ(), d.env()...)
	return cmd
}

// must is what a command of the client prints.
func (d *daemon) must(t testing.TB, args ...string) string {
	t.Helper()
	cmd := d.docker(args...)
	out, err := cmd.Output()
	if err != nil {
		var ended *exec.ExitError
		if errors.As(err, &ended) {
			out = append(out, ended.Stderr...)
		}
		t.Fatalf("docker %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// end removes the containers, then ends the daemon, which ends its own containerd, and removes its cgroup.
func (d *daemon) end(t testing.TB) {
	if ids, err := d.docker("ps", "--all", "--quiet").Output(); err == nil && len(ids) > 0 {
		if out, err := d.docker(append([]string{"rm", "--force"}, strings.Fields(string(ids))...)...).CombinedOutput(); err != nil {
			t.Errorf("docker rm: %v: %s", err, out)
		}
	}
	if !d.ended() {
		d.process.Signal(t, syscall.SIGTERM)
		if code := d.process.Wait(t, 30*time.Second); code != 0 {
			t.Errorf("the daemon ended with %d", code)
		}
	}
	left, gone := testkit.Poll(5*time.Second, func() (bool, string) {
		err := d.removeCgroups()
		return err == nil, fmt.Sprint(err)
	})
	if !gone {
		t.Error("the daemon's cgroup was left behind: ", left)
	}
}

func (d *daemon) removeCgroups() error {
	var errs []error
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		found, err := filepath.Glob(pattern + d.group)
		errs = append(errs, err)
		for _, dir := range found {
			errs = append(errs, os.Remove(dir))
		}
	}
	return errors.Join(errs...)
}

// traces removes what a daemon writes outside its own directory, if it was not there before.
func traces(t testing.TB) func() {
	var made []string
	for _, path := range []string{"/etc/docker/key.json", "/etc/docker"} {
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			made = append(made, path)
		}
	}
	return func() {
		for _, path := range made {
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Error(err)
			}
		}
	}
}
