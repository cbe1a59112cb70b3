package container

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

const opt = "/opt/interlock"

// volume mounts a directory at opt, as the kubelet does with an emptyDir.
func volume(dir, mode string) change {
	return func(spec tree) {
		spec["mounts"] = append(spec["mounts"].([]any), tree{"destination": opt, "type": "bind", "source": dir,
			"options": []string{"bind", mode, "nosuid", "nodev"}})
	}
}

// emptyBox is a box with the mount point, and without one of the two programs.
func emptyBox(t testing.TB, without string) *box {
	t.Helper()
	b := newBox(t)
	if err := os.MkdirAll(filepath.Join(b.rootfs, opt), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(b.rootfs, without)); err != nil {
		t.Fatal(err)
	}
	return b
}

// A pod: an init container of the image of one file brings interlock into a volume, and a container of an
// image that has none executes it from there, as another user, with nothing of the volume to be written to.
func TestInjected(t *testing.T) {
	s := calm(t)
	dir := testkit.PublicDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	// Twice: the kubelet runs it again after the sandbox was lost.
	for range 2 {
		first := emptyBox(t, "payload")
		p := first.start(t, testkit.PublicDir(t), []string{"/interlock", "install", opt}, volume(dir, "rw"))
		if code := p.Wait(t, 20*time.Second); code != 0 || p.Stdout(t) != opt+"/interlock\n" {
			t.Fatalf("install ended with %d: %s%s", code, p.Stdout(t), p.Stderr(t))
		}
	}
	b := emptyBox(t, "interlock")
	other := func(spec tree) { part(spec, "process")["user"] = tree{"uid": 65533, "gid": 65532} }
	j := s.Run(t, "a", scene.Command("/payload", "-log", s.Trace, "-code", "7", "-tree", "2"), scene.Wrapped(func(t testing.TB, args ...string) []string {
		args[0] = opt + "/interlock"
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], s.Dir, inside)
		}
		return b.argv(t, s.Dir, args, volume(dir, "ro"), other)
	}))
	t.Cleanup(func() { b.remove(t) })
	if st := j.Serving(t); st.KillMode != "pid1" {
		t.Errorf("kill mode is %s: expected pid1", st.KillMode)
	}
	began(t, s)
	tree := testkit.Snapshot(t, j.Guard(t))
	b.kill(t, b.id, "TERM")
	j.Expect(t, 10*time.Second, 7)
	if left := tree.Alive(); len(left) > 0 {
		t.Errorf("%v outlived the container's first process", left)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("%v, %v in the volume: expected interlock alone", names, err)
	}
}
