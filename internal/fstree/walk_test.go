package fstree

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
	"golang.org/x/sys/unix"
)

// The order is one of paths alone, so that streams can be merged without the trees.
func TestWalkIsInOrder(t *testing.T) {
	for seed := range uint64(6) {
		dir := t.TempDir()
		grow(t, seed, dir)
		all := walked(t, opened(t, dir, Options{}))
		for i := range all {
			must(t, all[i].Check())
			for j := range all {
				if got, want := Compare(all[i].Path, all[j].Path), cmpInt(i, j); got != want {
					t.Fatalf("%q and %q: %d, expected %d", all[i].Path, all[j].Path, got, want)
				}
			}
		}
		must(t, removeAll(dir))
	}
}

func cmpInt(a, b int) int { return min(1, max(-1, a-b)) }

func TestCompareExamples(t *testing.T) {
	want := []string{Root, "\x01", "!", "-", "a", "a/b", "a/b/c", "a/b-", "a!", "a-b", "a.", "aa", "b", "\xff"}
	got := slices.Clone(want)
	rand.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
	slices.SortFunc(got, Compare)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestExcludes(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{".interlock/x", "lost+found/y", "sub/.interlock/z", "logs/a", "sub/logs/b", "keep"} {
		mkdir(t, dir, d)
	}
	write(t, filepath.Join(dir, "x.tmp"), "x")
	write(t, filepath.Join(dir, "sub/y.tmp"), "y")
	write(t, filepath.Join(dir, ".interlock-volume"), "id")
	got := paths(walked(t, opened(t, dir, Options{Exclude: []string{"*.tmp", "/logs"}})))
	want := ".\nkeep\nsub\nsub/.interlock\nsub/.interlock/z\nsub/logs\nsub/logs/b\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for _, bad := range []string{"[", "", "/"} {
		if tree, err := Open(dir, Options{Exclude: []string{bad}}); err == nil {
			t.Errorf("%q was accepted", bad)
			must(t, tree.Close())
		}
	}
}

// Deeper than descriptors and than PATH_MAX: read, made again, compared and removed.
func TestDeep(t *testing.T) {
	dir := t.TempDir()
	from, to := mkdir(t, dir, "from"), mkdir(t, dir, "to")
	at, err := unix.Open(from, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	for i := range 1500 {
		must(t, unix.Mkdirat(at, "deep", 0o700))
		must(t, unix.Mkdirat(at, "later", 0o700)) // found after the way up again
		next, err := unix.Openat(at, "deep", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		must(t, err)
		if i%100 == 0 {
			must(t, unix.Symlinkat("x", next, "link"))
		}
		must(t, unix.Close(at))
		at = next
	}
	must(t, unix.Close(at))
	fewFiles(t)
	must(t, copyTree(from, to, TargetOptions{}))
	mustEqual(t, from, to, EqualOptions{})
	must(t, copyTree(mkdir(t, dir, "empty"), to, TargetOptions{Ours: true}))
	if !emptyDir(t, to) {
		t.Error("it is not empty")
	}
	must(t, removeAll(from))
}

// fewFiles allows this process few descriptors until the test ends.
func fewFiles(t *testing.T) {
	var old unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	few := old
	few.Cur = 160
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &few))
	t.Cleanup(func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old)) })
}

// What is elsewhere is told of, and left out.
func TestNotes(t *testing.T) {
	dir := loop(t, 32, "mkfs.ext4", "-q")
	mkdir(t, dir, "mount")
	must(t, unix.Mknod(filepath.Join(dir, "socket"), unix.S_IFSOCK|0o600, 0))
	write(t, filepath.Join(dir, "bound"), "over")
	write(t, filepath.Join(dir, "flags"), "x")
	command(t, "chattr", "+d", filepath.Join(dir, "flags"))
	must(t, unix.Mount("none", filepath.Join(dir, "mount"), "tmpfs", 0, ""))
	t.Cleanup(func() { testkit.Unmount(t, filepath.Join(dir, "mount")) })
	mkdir(t, dir, "mount/inside")
	must(t, unix.Mount("/etc/passwd", filepath.Join(dir, "bound"), "", unix.MS_BIND, ""))
	t.Cleanup(func() { testkit.Unmount(t, filepath.Join(dir, "bound")) })
	var notes Tally
	if got := paths(walked(t, opened(t, dir, Options{Note: notes.Add}))); got != ".\nflags\n" {
		t.Errorf("got\n%s", got)
	}
	for k, n := range map[NoteKind]int{NoteMount: 2, NoteSocket: 1, NoteFlags: 1} {
		if notes.Count(k) != n {
			t.Errorf("%s: %d times, expected %d: %s", k, notes.Count(k), n, &notes)
		}
	}
	if got := paths(walked(t, opened(t, dir, Options{CrossMounts: true}))); !strings.Contains(got, "mount/inside\n") {
		t.Errorf("across mounts: got\n%s", got)
	}
}

// One large directory: memory is that of its names. A million in the long form.
func TestWideIsBounded(t *testing.T) {
	n := 60_000
	if testkit.Long() {
		n = 1_000_000
	}
	dir := t.TempDir()
	if os.Geteuid() == 0 {
		dir = mounted(t, "mount", "-t", "tmpfs", "-o", "nr_inodes=1100000", "none")
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	for i := range n {
		must(t, unix.Mknodat(fd, fmt.Sprintf("table-%08d.ibd", i), unix.S_IFREG|0o600, 0))
	}
	must(t, unix.Close(fd))
	tree := opened(t, dir, Options{})
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	seen, peak := 0, uint64(0)
	for _, err := range tree.Walk() {
		must(t, err)
		if seen++; seen%(n/8) == 0 {
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapSys-now.HeapReleased)
		}
	}
	base := before.HeapSys - before.HeapReleased
	grown := (int64(peak) - int64(base)) >> 20
	t.Logf("%d entries: %d MiB more heap", seen-1, grown)
	if seen != n+1 || grown > 8+int64(n)*110>>20 {
		t.Errorf("%d of %d entries, %d MiB", seen-1, n, grown)
	}
}

// A second look finds what the walk found, without attributes, and repeats no notes.
func TestLook(t *testing.T) {
	for seed := range uint64(4) {
		dir := t.TempDir()
		grow(t, seed, dir)
		notes := 0
		tree := opened(t, dir, Options{Note: func(Note) { notes++ }})
		all := walked(t, tree)
		before, i := notes, 0
		for e, err := range tree.Look() {
			must(t, err)
			if i == len(all) {
				t.Fatalf("%q is not in the walk", e.Path)
			}
			want := all[i]
			want.Xattrs, want.Fresh = nil, e.Fresh
			if fmt.Sprint(e) != fmt.Sprint(want) {
				t.Errorf("looked: %v\nwalked: %v", e, want)
			}
			i++
		}
		if i != len(all) || notes != before {
			t.Errorf("%d entries of %d, %d notes of %d", i, len(all), notes, before)
		}
		must(t, removeAll(dir))
	}
}
