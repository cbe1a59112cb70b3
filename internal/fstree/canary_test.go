package fstree

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A canary is a directory beside a target of which nothing may change.
type canary struct {
	dir    string
	before []Entry
}

// newCanary makes it in dir/canary; the target is dir/to.
func newCanary(t testing.TB, dir string) *canary {
	t.Helper()
	c := &canary{dir: mkdir(t, dir, "canary")}
	mkdir(t, c.dir, "sub")
	write(t, filepath.Join(c.dir, "file"), "untouched")
	write(t, filepath.Join(c.dir, "sub/file"), "untouched")
	must(t, os.Chmod(filepath.Join(c.dir, "file"), 0o640))
	must(t, unix.Mkfifo(filepath.Join(c.dir, "fifo"), 0o600))
	c.before = c.look(t)
	return c
}

// look is all of it with its stamps: whatever is done to it changes a ctime. It is only stat.
func (c *canary) look(t testing.TB) []Entry {
	t.Helper()
	tree, err := Open(c.dir, Options{})
	must(t, err)
	all := walked(t, tree)
	must(t, tree.Close())
	return all
}

// check tells whether anything was changed but links made to files.
func (c *canary) check(t testing.TB) {
	t.Helper()
	now := c.look(t)
	if len(now) != len(c.before) {
		t.Fatalf("the canary has %d entries instead of %d:\n%s", len(now), len(c.before), paths(now))
	}
	for i, b := range c.before {
		n := now[i]
		if n.Path != b.Path || n.Kind != b.Kind || n.Ino != b.Ino || n.Mtime != b.Mtime || n.Mode != b.Mode || n.Size != b.Size || n.UID != b.UID || n.Nlink == b.Nlink && n.Ctime != b.Ctime {
			t.Fatalf("the canary changed:\n%+v\n%+v", b, n)
		}
	}
}
