package container

import (
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

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
		p := b.start(t, testkit.PublicDir(t), []string{"/payload", "-log", inside + "/trace", "-after", "1ms", "-code", "7"})
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
	j := s.Run(t, holder, scene.Command(append([]string{"/payload", "-log", s.Trace}, p.payload...)...),
		scene.Flags(p.flags...), scene.Wrapped(wrap))
	t.Cleanup(func() { b.remove(t) })
	return j, b
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
