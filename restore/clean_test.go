package restore

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Random trees with everything that can lie in them: cleaned wholly, and nothing outside is touched.
func TestCleanRandomTrees(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { cleanTree(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func cleanTree(t *testing.T, r *rand.Rand) {
	p := place(t)
	outside := filepath.Join(filepath.Dir(p.Data), "outside")
	mkdirs(t, outside, "dir/sub")
	write(t, filepath.Join(outside, "file"))
	write(t, filepath.Join(outside, "dir/sub/file"))
	mkdirs(t, p.StateDir, ".")
	mkdirs(t, p.Data, "lost+found/x", ".interlock/y")
	write(t, filepath.Join(p.Data, ".interlock-volume"))
	before := listing(t, outside)
	grow(t, r, p.Data, outside, 0)
	if err := clean(p.Data, p.StateDir, Inspect(p.Data, p.StateDir, 1).Inode); err != nil {
		t.Fatal(err)
	}
	if l := Inspect(p.Data, p.StateDir, 1); l.Dir != DirEmpty {
		t.Fatalf("%+v: expected it empty", l)
	}
	mustBe(t, before, listing(t, outside))
	for _, kept := range []string{"lost+found/x", ".interlock/y", ".interlock-volume"} {
		if _, err := os.Stat(filepath.Join(p.Data, kept)); err != nil {
			t.Error(err)
		}
	}
}

// grow fills a directory at random.
func grow(t *testing.T, r *rand.Rand, dir, outside string, depth int) {
	for i := range r.IntN(12) {
		name := filepath.Join(dir, oddName(r, i))
		var err error
		switch k := r.IntN(8); {
		case k == 0:
			err = os.Symlink(filepath.Join(outside, "dir"), name)
		case k == 1:
			err = os.Symlink("../../..", name)
		case k == 2:
			err = os.Link(filepath.Join(outside, "file"), name)
		case k == 3:
			err = unix.Mkfifo(name, 0o600)
		case k <= 5 && depth < 5:
			if err = os.Mkdir(name, 0o755); err == nil {
				grow(t, r, name, outside, depth+1)
				err = os.Chmod(name, []os.FileMode{0o755, 0o500, 0, 0o311}[r.IntN(4)])
			}
		default:
			err = os.WriteFile(name, []byte("x"), 0o400)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func oddName(r *rand.Rand, i int) string {
	return []string{"plain", "new\nline", "-rf", "sp ace", "\xff\xfe", "..x", "lost+found", ".interlock", strings.Repeat("l", 200), "*"}[r.IntN(10)] + fmt.Sprint(i)
}

func listing(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%q %v\n", path, e.Type())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func mustBe(t *testing.T, want, got string) {
	t.Helper()
	if want != got {
		t.Errorf("there is now\n%sbut there was\n%s", got, want)
	}
}

func TestCleanDeepAndWide(t *testing.T) {
	p := place(t)
	mkdirs(t, p.StateDir, ".")
	f, err := openDir(p.Data)
	if err != nil {
		t.Fatal(err)
	}
	for range 6000 { // deeper than descriptors and than PATH_MAX
		if err := unix.Mkdirat(int(f.Fd()), "d", 0o700); err != nil {
			t.Fatal(err)
		}
		next, err := openAt(int(f.Fd()), "d")
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		f = next
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 * batch {
		write(t, filepath.Join(p.Data, fmt.Sprint("f", i)))
		if i%2 == 0 {
			mkdirs(t, p.Data, fmt.Sprint("e", i))
		}
	}
	limit := lowerFiles(t)
	if err := clean(p.Data, p.StateDir, Inspect(p.Data, p.StateDir, 1).Inode); err != nil {
		t.Fatalf("with %d descriptors: %v", limit, err)
	}
	if l := Inspect(p.Data, p.StateDir, 1); l.Dir != DirEmpty {
		t.Fatalf("%+v: expected it empty", l)
	}
}

// lowerFiles allows this process few descriptors until the test ends.
func lowerFiles(t *testing.T) uint64 {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	few := old
	few.Cur = 64
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Error(err)
		}
	})
	return few.Cur
}
