package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// limit bounds what should take a second or two on a machine that has other work to do.
const limit = 20 * time.Second

// atOnce is how long a payload may outlive the loss of its mount: the grace of scene.Quick, and the kill.
const atOnce = 1500 * time.Millisecond

// mounted puts a tmpfs at DIR/mnt and the scene's data into a directory of it.
func mounted(t testing.TB) (*scene.Scene, string) {
	t.Helper()
	s := scene.New(t)
	point := filepath.Join(s.Dir, "mnt")
	tmpfs(t, point)
	s.Data = mkdir(t, point, "db")
	return s, point
}

func tmpfs(t testing.TB, point string) {
	t.Helper()
	needMounts(t)
	if err := os.MkdirAll(point, 0o777); err != nil {
		t.Fatal(err)
	}
	mountOn(t, point)
}

// mountOn puts one more tmpfs there, over whatever is there already.
func mountOn(t testing.TB, point string) {
	t.Helper()
	if err := unix.Mount("storage-test", point, "tmpfs", 0, "size=4m"); err != nil {
		t.Fatalf("mount tmpfs on %s: %v", point, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			t.Errorf("umount %s: %v", point, err)
		}
	})
}

func mkdir(t testing.TB, parts ...string) string {
	t.Helper()
	dir := filepath.Join(parts...)
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func exists(t testing.TB, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func waitFile(t testing.TB, path string) {
	t.Helper()
	testkit.Wait(t, limit, func() (bool, string) { return exists(t, path), path + " is not there" })
}

// shell is a flag that takes a command as JSON, given one for sh.
func shell(t testing.TB, flag, script string) scene.Option {
	t.Helper()
	argv, err := json.Marshal([]string{"/bin/sh", "-c", script})
	if err != nil {
		t.Fatal(err)
	}
	return scene.Flags("--"+flag, string(argv))
}

// nothingBegan fails if a payload was ever started.
func nothingBegan(t testing.TB, s *scene.Scene) {
	t.Helper()
	if n := s.Count(t, "begin"); n != 0 {
		t.Errorf("%d payloads were started", n)
	}
}

// wantReason fails unless the reason has each of these words: paths, numbers and flags, never prose.
func wantReason(t testing.TB, reason string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(reason, w) {
			t.Errorf("reason %q does not name %s", reason, w)
		}
	}
}

// lockView is `lock show --json`.
type lockView struct {
	Held   bool
	Queue  []struct{ Holder, Token string }
	Record *struct {
		Phase, Token, Holder string
		Volumes              []string
	}
}

func show(t testing.TB, s *scene.Scene) lockView {
	t.Helper()
	var v lockView
	s.ShowLock(t, &v)
	return v
}

// wantRecord fails unless the lock is free and its record says this phase.
func wantRecord(t testing.TB, s *scene.Scene, phase string) {
	t.Helper()
	v := show(t, s)
	if v.Held || v.Record == nil || v.Record.Phase != phase {
		t.Errorf("lock show: %+v, record %+v: expected a free lock and a record that says %s", v, v.Record, phase)
	}
}

// tree is everything about a directory that a run could change: names, modes, sizes, times, contents.
func tree(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %v %d %s", path, info.Mode(), info.Size(), info.ModTime())
		if info.Mode().IsRegular() {
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %q", raw)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// diedAtOnce fails if the first payload lived on for longer than it takes to kill it.
func diedAtOnce(t testing.TB, s *scene.Scene, since time.Duration) {
	t.Helper()
	if late := s.Last(t, 1) - since; late > atOnce+testkit.Busy(t) {
		t.Errorf("the payload lived %v on", late)
	}
}

// alive waits until the job serves and its payload has begun: before that a signal would find no handler.
func alive(t testing.TB, s *scene.Scene, a *scene.Job) scene.Status {
	t.Helper()
	st := a.Serving(t)
	testkit.Wait(t, limit, func() (bool, string) {
		for _, l := range s.Lines(t) {
			if l.Event == "begin" && strconv.FormatUint(l.Token, 10) == st.Lock.Token {
				return true, ""
			}
		}
		return false, a.Holder + "'s payload has not begun"
	})
	return st
}
