package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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
	t.Cleanup(func() {
		if out, err := b.runc("delete", "--force", b.id).CombinedOutput(); err != nil {
			t.Errorf("runc delete: %v: %s", err, out)
		}
	})
	return b
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

var (
	trialOnce   sync.Once
	trialReason string
)

// needRunc skips where no container can be run: that is found out with one that does nothing of ours.
func needRunc(t testing.TB) {
	t.Helper()
	testkit.RequireRoot(t)
	if _, err := exec.LookPath("runc"); err != nil {
		testkit.Skip(t, "runc", "runc is not installed (Debian: runc)")
	}
	trialOnce.Do(func() {
		b := newBox(t)
		p := testkit.Start(t, b.argv(t, testkit.PublicDir(t), []string{"/payload", "-log", inside + "/trace", "-after", "1ms", "-code", "7"})...)
		if code := p.Wait(t, 30*time.Second); code != 7 {
			trialReason = fmt.Sprintf("a container without interlock ended with %d, expected 7: %s", code, p.Stderr(t))
		}
	})
	if trialReason != "" {
		testkit.Skip(t, "runc", trialReason)
	}
}

// A plan is how one container of a scene is started.
type plan struct {
	prefix  []string // before /interlock
	flags   []string
	payload []string
	changes []change
}

// run starts interlock in a container of its own on the scene's directory.
func run(t testing.TB, s *scene.Scene, holder string, p plan) (*scene.Job, *box) {
	t.Helper()
	b := newBox(t)
	wrap := func(t testing.TB, args ...string) []string {
		args[0] = "/interlock"
		args = append(append([]string{}, p.prefix...), args...)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], s.Dir, inside)
		}
		return b.argv(t, s.Dir, args, p.changes...)
	}
	return s.Run(t, holder, scene.Command(append([]string{"/payload", "-log", s.Trace}, p.payload...)...),
		scene.Flags(p.flags...), scene.Wrapped(wrap)), b
}

// calm is a scene for tests that wait for no hold: a loaded machine may hold a process up for a while.
func calm(t testing.TB) *scene.Scene {
	t.Helper()
	needRunc(t)
	s := scene.New(t)
	s.Timing = []string{"--kill-budget", "3s", "--heartbeat", "1s"}
	return s
}

// began waits until the payload can take signals.
func began(t testing.TB, s *scene.Scene) {
	t.Helper()
	testkit.Wait(t, 20*time.Second, func() (bool, string) { return s.Count(t, "tick") > 0, "the payload has not begun" })
}

// files lists what lies below a directory, with modes, sizes and times of change.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			all = append(all, fmt.Sprintf("%s %v %d %v", strings.TrimPrefix(path, dir), info.Mode(), info.Size(), info.ModTime().UnixNano()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
