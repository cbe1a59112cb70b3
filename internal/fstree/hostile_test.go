package fstree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func file(path string) Entry { return Entry{Path: path, Kind: File, Meta: Meta{Mode: 0o644}} }

func TestHostileEntriesAreRefused(t *testing.T) {
	long := strings.Repeat("n", 256)
	var bad []Entry
	for _, p := range []string{"", "/", "/etc/passwd", "..", "../canary/file", "a/../../canary/file", "a/..", "a//b", "a/", "./a", "a/.", "a\x00b",
		long, "d/" + long, strings.Repeat("d/", MaxPath/2) + "d", ".interlock", ".interlock/state", ".interlock-volume", "lost+found/x", "x.tmp", "x.tmp/y", "last" + aside, "last/below"} {
		bad = append(bad, file(p))
	}
	with := func(f func(*Entry)) {
		e := file("name")
		e.UID, e.GID = uint32(os.Geteuid()), uint32(os.Getegid())
		f(&e)
		bad = append(bad, e)
	}
	with(func(e *Entry) { e.Kind = 0 })
	with(func(e *Entry) { e.Kind = 9 })
	with(func(e *Entry) { e.Path = Root })
	with(func(e *Entry) { e.Mode = 0o100644 })
	with(func(e *Entry) { e.Size = -1 })
	with(func(e *Entry) { e.Kind, e.Size = FIFO, 1 })
	with(func(e *Entry) { e.UID = ^uint32(0) })
	with(func(e *Entry) { e.Mtime.Nsec = 1e9 })
	with(func(e *Entry) { e.Kind = Symlink })
	with(func(e *Entry) { e.Kind, e.Target = Symlink, "a\x00" })
	with(func(e *Entry) { e.Kind, e.Target = Symlink, strings.Repeat("x", 5000) })
	for _, l := range []string{"../canary/file", "/etc/passwd", "name", "zz", Root, ".interlock/state", "last/x/../y"} {
		with(func(e *Entry) { e.Link = l })
	}
	with(func(e *Entry) { e.Kind, e.Link = Dir, "a" })
	for _, x := range []string{"", "user.", "system.nfs4_acl", "user.\x00", "user." + long} {
		with(func(e *Entry) { e.Xattrs = []Xattr{{Name: x}} })
	}
	with(func(e *Entry) { e.Xattrs = []Xattr{{Name: "user.b"}, {Name: "user.a"}} })
	with(func(e *Entry) { e.Xattrs = []Xattr{{Name: "user.a", Value: make([]byte, maxXattr+1)}} })
	with(func(e *Entry) { e.Path, e.Kind = "last", Dir })
	dir := t.TempDir()
	c := newCanary(t, dir)
	to := mkdir(t, dir, "to")
	g, err := OpenTarget(to, TargetOptions{Ours: true, Sentinels: []string{"last"}, Options: Options{Exclude: []string{"*.tmp"}}})
	must(t, err)
	for _, e := range bad {
		err := applyOne(g, e, func(*Writer, Entry) error { return nil })
		if !errors.Is(err, ErrHostile) {
			t.Errorf("%.60q %+v: got %v", e.Path, e.Link, err)
		}
		if e.Path != "last"+aside && e.Path != "last/below" && !errors.Is(g.Sweep(stream([]Entry{e})), ErrHostile) && e.Check() != nil {
			t.Errorf("%.60q: swept", e.Path)
		}
	}
	must(t, g.Close())
	c.check(t)
	if !emptyDir(t, to) {
		t.Error("something was made")
	}
}

// A stream that is not sorted, or has a path twice, is none of ours.
func TestUnsortedIsRefused(t *testing.T) {
	g, err := OpenTarget(t.TempDir(), TargetOptions{Ours: true})
	must(t, err)
	for _, all := range [][]Entry{{file("b"), file("a")}, {file("a"), file("a")}, {file("a-"), file("a/b")}} {
		for _, err := range []error{g.Sweep(stream(all)), g.Seal(stream(all))} {
			if !errors.Is(err, ErrHostile) {
				t.Errorf("%s: got %v", paths(all), err)
			}
		}
	}
	must(t, g.Close())
}

func TestWritesStayInSize(t *testing.T) {
	g, err := OpenTarget(t.TempDir(), TargetOptions{})
	must(t, err)
	e := file("f")
	e.Size = 10
	w, err := g.Create(e)
	must(t, err)
	for _, at := range [][2]int64{{5, 6}, {-1, 1}, {11, 0}, {1 << 62, 1 << 62}, {0, -1}} {
		if err := w.Hole(at[0], at[1]); !errors.Is(err, ErrHostile) {
			t.Errorf("hole at %v: %v", at, err)
		}
	}
	if _, err := w.WriteAt(make([]byte, 6), 5); !errors.Is(err, ErrHostile) {
		t.Error(err)
	}
	must(t, errors.Join(w.Close(), g.Close()))
}

// The old tree, or somebody at work meanwhile, has links to the outside where directories and files belong.
func TestLinksInTheWayAreNotFollowed(t *testing.T) {
	dir := t.TempDir()
	c := newCanary(t, dir)
	from, to := mkdir(t, dir, "from/d/sub"), mkdir(t, dir, "to")
	from = filepath.Dir(filepath.Dir(from))
	for _, f := range []string{"d/sub/file", "d/file", "file", "hard", "z"} {
		write(t, filepath.Join(from, f), "restored")
	}
	must(t, os.Link(filepath.Join(from, "z"), filepath.Join(from, "zz")))
	must(t, unix.Mkfifo(filepath.Join(from, "fifo"), 0o640))
	must(t, os.Symlink("../canary", filepath.Join(to, "d")))
	must(t, os.Symlink("../canary/file", filepath.Join(to, "file")))
	must(t, os.Symlink("../canary/sub", filepath.Join(to, "extra")))
	must(t, os.Symlink("../canary/file", filepath.Join(to, "z")))
	must(t, os.Link(filepath.Join(c.dir, "file"), filepath.Join(to, "hard")))
	must(t, os.Link(filepath.Join(c.dir, "file"), filepath.Join(to, "zz")))
	must(t, os.Link(filepath.Join(c.dir, "fifo"), filepath.Join(to, "fifo")))
	c.before = c.look(t)
	must(t, copyTree(from, to, TargetOptions{Ours: true, Sentinels: []string{"d/file", "z"}}))
	mustEqual(t, from, to, EqualOptions{})
	c.check(t)
}

// Somebody swaps a directory for a link to the outside, again and again.
func TestSwappedDirectory(t *testing.T) {
	dir := t.TempDir()
	c := newCanary(t, dir)
	to := mkdir(t, dir, "to")
	mkdir(t, to, "d/sub")
	must(t, os.Symlink("../canary", filepath.Join(to, "link")))
	stop, done := make(chan bool), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(to, "d"), unix.AT_FDCWD, filepath.Join(to, "link"), unix.RENAME_EXCHANGE)
			if err != nil {
				done <- err
				return
			}
		}
	}()
	g, err := OpenTarget(to, TargetOptions{Ours: true})
	must(t, err)
	made, failed := 0, 0
	e := Entry{Kind: File, Size: 5, Meta: Meta{Mode: 0o600}}
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end) && (made < 300 || failed < 300); {
		for _, p := range []string{"d/file", "d/sub/file", fmt.Sprint("d/new", made)} {
			e.Path = p
			if err := applyOne(g, e, func(w *Writer, _ Entry) error { _, err := w.WriteAt([]byte("EVIL!"), 0); return err }); err != nil {
				failed++
			} else {
				made++
			}
		}
		for _, err := range []error{g.Place(Entry{Path: "d/sub/s", Kind: Symlink, Target: "x"}), g.remove("d/file"), g.remove("d/sub")} {
			if err != nil {
				failed++
			}
		}
		if err := g.Place(Entry{Path: "d/sub", Kind: Dir}); err != nil {
			failed++
		}
		if _, err := os.Lstat(filepath.Join(c.dir, "sub/s")); err == nil {
			t.Fatal("a link was made outside")
		}
	}
	close(stop)
	must(t, <-done)
	must(t, g.Close())
	t.Logf("%d made, %d failed", made, failed)
	if made == 0 || failed == 0 {
		t.Errorf("%d made, %d failed: expected some of both", made, failed)
	}
	c.check(t)
}
