package fstree

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"golang.org/x/sys/unix"
)

// What happens to a file between Walk and the end of reading it.
func TestFilesThatMove(t *testing.T) {
	cases := []struct {
		name string
		do   func(path string) error
		want error
	}{
		{"nothing", func(string) error { return nil }, nil},
		{"read by others", func(p string) error { _, err := os.ReadFile(p); return err }, nil},
		{"shorter", func(p string) error { return os.Truncate(p, 3) }, ErrShrank},
		{"longer", func(p string) error { return os.Truncate(p, 30) }, ErrChanged},
		{"written", func(p string) error { return overwrite(p) }, ErrChanged},
		{"mode", func(p string) error { return os.Chmod(p, 0o600) }, ErrChanged},
		{"gone", os.Remove, ErrVanished},
		{"replaced", func(p string) error {
			return errors.Join(os.WriteFile(p+".new", []byte("0123456789"), 0o644), os.Rename(p+".new", p))
		}, ErrVanished},
		{"a fifo now", func(p string) error { return errors.Join(os.Remove(p), unix.Mkfifo(p, 0o644)) }, ErrVanished},
		{"a link now", func(p string) error { return errors.Join(os.Remove(p), os.Symlink("/etc/passwd", p)) }, ErrVanished},
	}
	for _, c := range cases {
		t.Run(c.name+", while read", func(t *testing.T) {
			tree, e := single(t)
			r, err := tree.Open(e)
			must(t, err)
			must(t, c.do(filepath.Join(tree.Path(), e.Path)))
			_, readErr := r.ReadAt(make([]byte, 10), 0)
			if c.want != ErrShrank {
				must(t, readErr)
			} else if !errors.Is(readErr, ErrShrank) {
				t.Errorf("read: %v", readErr)
			}
			expect(t, r.Check(), c.want)
			must(t, r.Close())
		})
		t.Run(c.name+", before", func(t *testing.T) {
			tree, e := single(t)
			must(t, c.do(filepath.Join(tree.Path(), e.Path)))
			r, err := tree.Open(e)
			if c.want == nil {
				must(t, err)
				must(t, r.Close())
			} else if !Moving(err) {
				t.Errorf("got %v, expected that it moves", err)
			}
		})
	}
}

func expect(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) || (want == nil) != (got == nil) {
		t.Errorf("got %v, want %v", got, want)
	}
	if want != nil && !Moving(got) {
		t.Errorf("%v: not counted as moving", got)
	}
}

func overwrite(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("x"), 4)
	return errors.Join(err, f.Close())
}

// single is a tree with one file, whose stamp is old enough that the next change has another.
func single(t *testing.T) (*Tree, Entry) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "0123456789")
	tree := opened(t, dir, Options{})
	nextTick(t, dir)
	all := walked(t, tree)
	if len(all) != 2 || !all[1].Fresh || all[1].Same(all[1].Stamp) {
		t.Fatalf("%+v: expected one fresh file", all)
	}
	return tree, all[1]
}

// nextTick waits until the filesystem's clock has gone on.
func nextTick(t *testing.T, dir string) {
	t.Helper()
	before := time.Now()
	probe := filepath.Join(t.TempDir(), "probe")
	testkit.Wait(t, time.Second*5, func() (bool, string) {
		must(t, os.WriteFile(probe, nil, 0o600))
		info, err := os.Stat(probe)
		must(t, err)
		return info.ModTime().After(before), "the clock of " + dir + " stands"
	})
}

// What happens in a directory while it is walked.
func TestDirectoriesThatMove(t *testing.T) {
	cases := []struct {
		name string
		do   func(dir string) error
		want error
		at   string
	}{
		{"came", func(d string) error { return os.Mkdir(filepath.Join(d, "z-new"), 0o755) }, ErrChanged, Root},
		{"went", func(d string) error { return os.Remove(filepath.Join(d, "c")) }, ErrVanished, "c"},
		{"directory went", func(d string) error { return os.Remove(filepath.Join(d, "b")) }, ErrVanished, "b"},
		{"directory is a link", func(d string) error {
			return errors.Join(os.Remove(filepath.Join(d, "b")), os.Symlink("/etc", filepath.Join(d, "b")))
		}, nil, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "a"), "")
			mkdir(t, dir, "b")
			write(t, filepath.Join(dir, "c"), "")
			nextTick(t, dir)
			found := map[string]error{}
			for e, err := range opened(t, dir, Options{}).Walk() {
				if e.Path == "a" {
					must(t, c.do(dir))
				}
				if err != nil {
					found[e.Path] = err
				}
				if Below("b", e.Path) {
					t.Errorf("followed to %q", e.Path)
				}
			}
			if !errors.Is(found[c.at], c.want) || !errors.Is(found[Root], ErrChanged) {
				t.Errorf("got %v, want %v at %s", found, c.want, c.at)
			}
		})
	}
}

// Root and the owner leave no trace of a backup in the access times.
func TestReadingLeavesNoTrace(t *testing.T) {
	testkit.RequireRoot(t)
	dir := mounted(t, "mount", "-t", "tmpfs", "-o", "strictatime", "none")
	write(t, filepath.Join(dir, "file"), "0123456789")
	tree := opened(t, dir, Options{})
	before := [2]unix.Timespec{atime(t, dir), atime(t, filepath.Join(dir, "file"))}
	nextTick(t, dir)
	r, err := tree.Open(walked(t, tree)[1])
	must(t, err)
	_, err = r.ReadAt(make([]byte, 10), 0)
	must(t, errors.Join(err, r.Close()))
	if after := [2]unix.Timespec{atime(t, dir), atime(t, filepath.Join(dir, "file"))}; after != before {
		t.Errorf("access times were %v and are %v", before, after)
	}
}

func atime(t *testing.T, path string) unix.Timespec {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Stat(path, &st))
	return st.Atim
}
