package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// inside is where a container sees the directory of its scene.
const inside = "/srv"

// A box is one container: its bundle, and the runtime's own record of it.
type box struct {
	id, runtime, bundle, rootfs string
}

// newBox makes bundle and root. The container goes with the test, however it ends.
func newBox(t testing.TB) *box {
	t.Helper()
	dir := testkit.PublicDir(t)
	b := &box{id: "interlock-e2e-" + filepath.Base(dir), runtime: filepath.Join(dir, "run"), bundle: dir, rootfs: filepath.Join(dir, "rootfs")}
	// The mount points too: what is missing the runtime would make.
	for _, name := range []string{"proc", "dev", "sys", inside} {
		if err := os.MkdirAll(filepath.Join(b.rootfs, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	place(t, testkit.Binary(t), filepath.Join(b.rootfs, "interlock"))
	place(t, scene.PayloadBinary(t), filepath.Join(b.rootfs, "payload"))
	t.Cleanup(func() { b.remove(t); b.noCgroup(t) })
	return b
}

// remove ends the container, if it is still there. It must come before the kit kills the runtime: that one
// reaps the container's processes, and what nobody reaps keeps namespace and cgroup.
func (b *box) remove(t testing.TB) {
	if out, err := b.runc("delete", "--force", b.id).CombinedOutput(); err != nil {
		t.Errorf("runc delete: %v: %s", err, out)
	}
}

// noCgroup: the runtime only logs that it could not remove the container's.
func (b *box) noCgroup(t testing.TB) {
	var left []string
	_, gone := testkit.Poll(5*time.Second, func() (bool, string) {
		left = nil
		for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
			found, err := filepath.Glob(pattern + b.id)
			if err != nil {
				return false, err.Error()
			}
			left = append(left, found...)
		}
		return len(left) == 0, ""
	})
	if !gone {
		t.Errorf("the container's cgroups were left behind: %s", left)
	}
}

// start runs a command in the container and leaves the end to the caller.
func (b *box) start(t testing.TB, shared string, args []string, changes ...change) *testkit.Process {
	t.Helper()
	p := testkit.Start(t, b.argv(t, shared, args, changes...)...)
	t.Cleanup(func() { b.remove(t) })
	return p
}

func (b *box) runc(args ...string) *exec.Cmd {
	return exec.Command("runc", append([]string{"--root", b.runtime}, args...)...)
}

// argv prepares the bundle for a command and is the runtime's own command that runs it in the foreground.
func (b *box) argv(t testing.TB, shared string, args []string, changes ...change) []string {
	t.Helper()
	spec := newSpec(t, b.bundle, shared, "/"+b.id, args)
	for _, c := range changes {
		c(spec)
	}
	writeSpec(t, b.bundle, spec)
	return b.runc("run", "--bundle", b.bundle, b.id).Args
}

// kill sends a signal to the container's first process, as `docker stop` and the kubelet do.
func (b *box) kill(t testing.TB, args ...string) {
	t.Helper()
	if out, err := b.runc(append([]string{"kill"}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("runc kill %v: %v: %s", args, err, out)
	}
}

// running waits until the container's own command runs, and is its first process's number on the host.
func (b *box) running(t testing.TB) int {
	t.Helper()
	var state struct {
		PID    int `json:"pid"`
		Status string
	}
	testkit.Wait(t, 20*time.Second, func() (bool, string) {
		out, err := b.runc("state", b.id).Output()
		if err != nil {
			return false, fmt.Sprintf("runc state: %v", err)
		}
		err = json.Unmarshal(out, &state)
		return err == nil && state.Status == "running", fmt.Sprintf("the container is %q, %v", state.Status, err)
	})
	return state.PID
}

func place(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
}
