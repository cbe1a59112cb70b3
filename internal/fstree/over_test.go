package fstree

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// change alters what is in a copy, here and there: content, metadata, kinds, names.
func change(t *testing.T, seed uint64, dir string) {
	t.Helper()
	g := &gardener{t: t, r: rand.New(rand.NewPCG(seed, 11)), root: os.Geteuid() == 0}
	g.xattr = unix.Setxattr(dir, "user.probe", []byte("x"), 0) == nil
	all := walked(t, opened(t, dir, Options{}))
	for i := len(all) - 1; i > 0; i-- {
		e, name := &all[i], filepath.Join(dir, all[i].Path)
		parent := filepath.Dir(name)
		must(t, unix.Chmod(parent, 0o700))
		switch g.r.IntN(8) {
		case 0:
			if e.Kind == File {
				must(t, unix.Chmod(name, 0o600))
				f, err := os.OpenFile(name, os.O_RDWR, 0)
				must(t, err)
				g.put(f, int64(g.r.IntN(int(e.Size)+1)), 1+g.r.IntN(9000))
				must(t, f.Truncate(int64(g.r.IntN(int(e.Size)+9000))))
				must(t, f.Close())
			}
		case 1:
			must(t, removeAll(name))
			if g.r.IntN(2) == 0 {
				must(t, os.Mkdir(name, 0o700))
				must(t, unix.Chmod(name, 0o700)) // a default ACL may have a say
				write(t, filepath.Join(name, "inside"), "x")
			}
		case 2:
			if e.Kind != Dir {
				must(t, os.Remove(name))
				g.file(name)
			}
		case 3, 4:
			if e.Kind == File || e.Kind == Dir {
				must(t, unix.Chmod(name, 0o700))
			}
			g.meta(name, e.Kind)
		}
	}
}

// What an old file or directory has and the snapshot has not goes; what a change of owner takes away comes
// again.
func TestOldAttributes(t *testing.T) {
	from, to := loop(t, 32, "mkfs.ext4", "-q"), loop(t, 32, "mkfs.ext4", "-q")
	capability := []byte("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	for _, dir := range []string{from, to} {
		mkdir(t, dir, "d")
		write(t, filepath.Join(dir, "d/plain"), "x")
		write(t, filepath.Join(dir, "d/able"), "x")
		must(t, unix.Setxattr(filepath.Join(dir, "d/able"), "security.capability", capability, 0))
	}
	must(t, os.Chown(filepath.Join(from, "d/able"), 7, 8))
	must(t, unix.Setxattr(filepath.Join(from, "d/able"), "security.capability", capability, 0))
	must(t, os.Chown(filepath.Join(to, "d"), 9, 9))
	list := acl(rand.New(rand.NewPCG(1, 1)))
	for _, name := range []string{"d", "d/plain"} {
		at := filepath.Join(to, name)
		must(t, unix.Setxattr(at, "user.old", []byte("v"), 0))
		must(t, unix.Setxattr(at, "trusted.old", []byte("v"), 0))
		must(t, unix.Setxattr(at, aclAccess, list, 0))
	}
	must(t, unix.Setxattr(filepath.Join(to, "d"), aclDefault, list, 0))
	must(t, unix.Setxattr(filepath.Join(to, "d/plain"), "security.capability", capability, 0))
	old := walked(t, opened(t, to, Options{}))
	// The owner alone differs: the attribute is there, equal, and goes with the change.
	must(t, os.Chown(filepath.Join(to, "d/able"), 0, 0))
	must(t, unix.Setxattr(filepath.Join(to, "d/able"), "security.capability", capability, 0))
	must(t, copyTree(from, to, TargetOptions{Ours: true}))
	mustEqual(t, from, to, EqualOptions{})
	for i, e := range walked(t, opened(t, to, Options{})) {
		if e.Ino != old[i].Ino || strings.Contains(e.Path, "inside") {
			t.Errorf("%q was made anew", e.Path)
		}
	}
}
