package fstree

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
	"golang.org/x/sys/unix"
)

// Without Ours nothing that is there is changed, not even a time.
func TestForeignIsKept(t *testing.T) {
	dir := t.TempDir()
	c := newCanary(t, dir)
	for _, e := range c.before[1:] {
		g, err := OpenTarget(c.dir, TargetOptions{})
		must(t, err)
		for _, k := range []Kind{File, Dir, Symlink, FIFO} {
			e := Entry{Path: e.Path, Kind: k}
			if k == Symlink {
				e.Target = "x"
			}
			if err := applyOne(g, e, func(*Writer, Entry) error { return nil }); !errors.Is(err, ErrForeign) {
				t.Errorf("%s %s: %v", e.Path, k, err)
			}
		}
		if err := g.Sweep(stream(nil)); !errors.Is(err, ErrForeign) {
			t.Error(err)
		}
		must(t, g.Close())
	}
	g, err := OpenTarget(c.dir, TargetOptions{Sentinels: []string{"sub/file"}})
	must(t, err)
	if err := g.Begin(); !errors.Is(err, ErrForeign) {
		t.Errorf("sentinel: %v", err)
	}
	must(t, g.Close())
	c.check(t)
}

// Holes stay holes, and old data goes from where holes belong; equal blocks are not written again.
func TestHoles(t *testing.T) {
	everywhere(t, func(t *testing.T, dir string) {
		from, to := mkdir(t, dir, "from"), mkdir(t, dir, "to")
		f, err := os.Create(filepath.Join(from, "sparse"))
		must(t, err)
		for _, at := range []int64{0, 8 << 20, 19<<20 + 5} {
			_, err = f.WriteAt([]byte(strings.Repeat("data", 1<<16)), at)
			must(t, err)
		}
		must(t, errors.Join(f.Truncate(32<<20), f.Close()))
		must(t, os.WriteFile(filepath.Join(from, "dense"), make([]byte, 2<<20), 0o600))
		write(t, filepath.Join(from, "over"), "short")
		must(t, os.Truncate(filepath.Join(from, "over"), 20<<20))
		must(t, os.WriteFile(filepath.Join(to, "over"), []byte(strings.Repeat("old!", 6<<20)), 0o600))
		for range 2 {
			must(t, copyTree(from, to, TargetOptions{Ours: true}))
			mustEqual(t, from, to, EqualOptions{})
		}
		for name, most := range map[string]int64{"sparse": 1 << 20, "over": 256 << 10} {
			if got := blocks(t, filepath.Join(to, name)); got > most {
				t.Errorf("%s has %d bytes in blocks, expected at most %d", name, got, most)
			}
		}
		if got := blocks(t, filepath.Join(to, "dense")); got < 2<<20 {
			t.Errorf("dense has only %d bytes in blocks", got)
		}
	})
}

func blocks(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Stat(path, &st))
	return st.Blocks * 512
}

// A whole file that is a hole is told as one, and reads as zeros.
func TestRuns(t *testing.T) {
	everywhere(t, func(t *testing.T, dir string) {
		f, err := os.Create(filepath.Join(dir, "hole"))
		must(t, err)
		must(t, errors.Join(f.Truncate(1<<40), f.Close()))
		tree := opened(t, dir, Options{})
		e := walked(t, tree)[1]
		r, err := tree.Open(e)
		must(t, err)
		for run := range r.Runs() {
			t.Errorf("a run of data %+v", run)
		}
		p := []byte("xxxx")
		if n, err := r.ReadAt(p, 1<<40-2); n != 2 || !errors.Is(err, io.EOF) || string(p) != "\x00\x00xx" {
			t.Errorf("%d %v %q", n, err, p)
		}
		must(t, r.Close())
	})
}

// A mount in what is to be removed, or in the way, is refused and not entered.
func TestMountsInTheWay(t *testing.T) {
	testkit.RequireRoot(t)
	dir := t.TempDir()
	from, to := mkdir(t, dir, "from"), mkdir(t, dir, "to")
	mkdir(t, from, "d")
	write(t, filepath.Join(from, "d/file"), "x")
	mount := mkdir(t, to, "extra/mount")
	must(t, unix.Mount("none", mount, "tmpfs", 0, ""))
	write(t, filepath.Join(mount, "precious"), "x")
	if err := copyTree(from, to, TargetOptions{Ours: true}); !errors.Is(err, ErrRefused) {
		t.Errorf("removing: %v", err)
	}
	if _, err := os.Stat(filepath.Join(mount, "precious")); err != nil {
		t.Error(err)
	}
	testkit.Unmount(t, mount)
	must(t, os.RemoveAll(filepath.Join(to, "extra")))
	mount = mkdir(t, to, "d")
	must(t, unix.Mount("none", mount, "tmpfs", 0, ""))
	if err := copyTree(from, to, TargetOptions{Ours: true}); err == nil {
		t.Error("it was written into another mount")
	}
	if !emptyDir(t, mount) {
		t.Error("something lies in the mount")
	}
	must(t, copyTree(from, to, TargetOptions{Ours: true, Options: Options{CrossMounts: true}}))
	testkit.Unmount(t, mount)
}

// As an ordinary user: the same trees, and those of others as far as he may.
func TestAsOrdinaryUser(t *testing.T) {
	testkit.RequireRoot(t)
	dir := loop(t, 256, "mkfs.ext4", "-q") // what is synced is this alone
	must(t, os.Chmod(dir, 0o777))
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	exe := filepath.Join(dir, "test")
	must(t, os.WriteFile(exe, self, 0o755))
	argv := testkit.Unprivileged(t, exe, "-test.run=^(TestRoundTrip|TestHoles|TestOwnersOfOthers|TestOldFile.*|TestLinksInTheWay.*|TestForeign.*|TestDeep|TestFiles.*)$", "-test.v")
	p := testkit.StartCmd(t, inDir(argv, dir))
	if code := p.Wait(t, testLimit); code != 0 {
		t.Fatalf("exit %d\n%s\n%.2000s", code, failures(p.Stdout(t)), p.Stderr(t))
	}
	for _, test := range []string{"TestRoundTrip/disk", "TestOwnersOfOthers", "TestDeep"} {
		if !strings.Contains(p.Stdout(t), "--- PASS: "+test) {
			t.Errorf("%s did not run:\n%.3000s", test, p.Stdout(t))
		}
	}
}

// Owners, devices and set-id bits that cannot be set are counted, and the rest is there.
func TestOwnersOfOthers(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("as an ordinary user, by TestAsOrdinaryUser")
	}
	to := tempDir(t)
	var notes Tally
	g, err := OpenTarget(to, TargetOptions{Options: Options{Note: notes.Add}})
	must(t, err)
	of := func(path string, k Kind, mode uint32) Entry {
		return Entry{Path: path, Kind: k, Meta: Meta{Mode: mode, UID: 1, GID: 2, Mtime: Time{Sec: 5, Nsec: 6}}}
	}
	cap := of("cap", File, 0o600)
	cap.Xattrs = []Xattr{{Name: "security.capability", Value: []byte("x")}, {Name: "user.kept", Value: []byte("v")}}
	link := of("link", Symlink, 0o777)
	link.Target = "x"
	all := []Entry{of(Root, Dir, 0o755), cap, of("d", Dir, 0o500), of("d/f", File, 0o644), of("dev", CharDevice, 0o600), link,
		of("shut", Dir, 0), of("shut/sub", Dir, 0o700), of("suid", File, 0o6755)}
	must(t, apply(g, all, func(*Writer, Entry) error { return nil }))
	must(t, g.Close())
	for k, n := range map[NoteKind]int{NoteOwner: 8, NoteDevice: 1, NoteSetID: 1, NoteLost: 1} {
		if notes.Count(k) != n {
			t.Errorf("%s: %d, expected %d: %s", k, notes.Count(k), n, &notes)
		}
	}
	info, err := os.Stat(filepath.Join(to, "shut"))
	must(t, err)
	if info.Mode().Perm() != 0 {
		t.Errorf("shut is open: %v", info.Mode())
	}
	must(t, os.Chmod(filepath.Join(to, "shut"), 0o700))
	for _, e := range walked(t, opened(t, to, Options{})) {
		if e.Mtime != (Time{Sec: 5, Nsec: 6}) || e.Path == "suid" && e.Mode != 0o755 || e.Path == "cap" && len(e.Xattrs) != 1 {
			t.Errorf("%+v", e)
		}
	}
}

// failures leaves out of a verbose log what went well.
func failures(log string) string {
	var left []string
	for l := range strings.Lines(log) {
		if !strings.Contains(l, "=== ") && !strings.Contains(l, "--- PASS") {
			left = append(left, l)
		}
	}
	return strings.Join(left, "")
}

// A filesystem without attributes gets the rest. What an ACL gave to many is not given to the group.
func TestFilesystemWithoutAttributes(t *testing.T) {
	testkit.RequireRoot(t)
	from, to := loop(t, 32, "mkfs.ext4", "-q"), mounted(t, "mount", "-t", "ramfs", "none")
	f := filepath.Join(from, "file")
	write(t, f, "x")
	must(t, unix.Setxattr(f, "user.x", []byte("v"), 0))
	list := acl(rand.New(rand.NewPCG(1, 1)))
	copy(list[4+2*8:], "\x04\x00\x00\x00") // the owning group itself: nothing
	copy(list[4+3*8:], "\x10\x00\x07\x00") // the bound for many: all
	must(t, unix.Setxattr(f, aclAccess, list, 0))
	var notes Tally
	must(t, copyTree(from, to, TargetOptions{Options: Options{Note: notes.Add}}))
	if notes.Count(NoteLost) != 2 {
		t.Errorf("notes: %s", &notes)
	}
	a, b := walked(t, opened(t, from, Options{})), walked(t, opened(t, to, Options{}))
	if len(b) != 2 || a[1].Mode&0o070 != 0o070 || b[1].Mode != a[1].Mode&^0o070 {
		t.Errorf("%+v\n%+v", a, b)
	}
}

// A directory deep in the tree is taken away while a walk is below it, so that the way up leads elsewhere.
func TestWayUpIsChecked(t *testing.T) {
	dir := t.TempDir()
	deep := dir
	for range heldOpen + 5 {
		deep = filepath.Join(deep, "d")
	}
	mkdir(t, deep)
	var lost error
	for e, err := range opened(t, dir, Options{}).Walk() {
		if err != nil && errors.Is(err, ErrVanished) {
			lost = err
		}
		if strings.Count(e.Path, "/") == heldOpen+4 {
			must(t, os.Rename(filepath.Join(dir, "d"), filepath.Join(dir, "moved")))
			mkdir(t, deep, "other")
		}
		if strings.HasSuffix(e.Path, "other") {
			t.Errorf("it came to %q", e.Path)
		}
	}
	if lost == nil {
		t.Error("it was not told")
	}
}

// New content never lies in a file that more may read than shall in the end; the old one serves, also one
// that its owner had closed to himself.
func TestOldFileIsClosedFirst(t *testing.T) {
	dir := t.TempDir()
	g, err := OpenTarget(dir, TargetOptions{Ours: true})
	must(t, err)
	for mode, want := range map[os.FileMode]os.FileMode{0o644: 0o600, 0o400: 0o600, 0o666: 0o600, 0o640: 0o640} {
		path := filepath.Join(dir, "f")
		write(t, path, "old content")
		must(t, os.Chmod(path, mode))
		before, err := os.Stat(path)
		must(t, err)
		e := file("f")
		e.Mode, e.Size, e.UID, e.GID = 0o640, 5, uint32(os.Geteuid()), uint32(os.Getegid())
		w, err := g.Create(e)
		must(t, err)
		now, err := os.Stat(path)
		must(t, err)
		if now.Mode() != want || !os.SameFile(before, now) || w.Old() != 5 {
			t.Errorf("of %v: now %v, %d old bytes", mode, now.Mode(), w.Old())
		}
		must(t, w.Finish())
		must(t, os.Chmod(path, 0o600))
	}
	must(t, g.Close())
}
