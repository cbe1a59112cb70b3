package fstree

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// TestMain: as a copier this binary does one copy and no tests, so that it can be killed in the middle.
func TestMain(m *testing.M) {
	if from := os.Getenv(copyFrom); from != "" {
		copier(from)
	}
	testkit.MainWithMounts(m)
}

// Variables that make the test binary a copier.
const (
	copyFrom = "FSTREE_FROM"
	copyTo   = "FSTREE_TO"
	copyLast = "FSTREE_SENTINELS"
)

func copier(from string) {
	err := copyTree(from, os.Getenv(copyTo), TargetOptions{Ours: true, Sentinels: strings.Fields(os.Getenv(copyLast))})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A place is a filesystem to test on.
type place struct {
	name  string
	mount func(t *testing.T) string
}

func places() []place {
	if os.Geteuid() != 0 {
		return []place{{"disk", tempDir}}
	}
	return []place{
		{"tmpfs", func(t *testing.T) string {
			return mounted(t, "mount", "-t", "tmpfs", "-o", "size=600m", "none")
		}},
		{"ext4", func(t *testing.T) string { return loop(t, 256, "mkfs.ext4", "-q") }},
		{"xfs", func(t *testing.T) string { return loop(t, 320, "mkfs.xfs", "-q") }},
	}
}

// tempDir is t.TempDir for trees that their owner may not enter everywhere.
func tempDir(t *testing.T) string {
	dir := t.TempDir()
	t.Cleanup(func() {
		found, err := os.ReadDir(dir)
		must(t, err)
		for _, e := range found {
			must(t, removeAll(filepath.Join(dir, e.Name())))
		}
	})
	return dir
}

// everywhere runs a test on every filesystem.
func everywhere(t *testing.T, test func(t *testing.T, dir string)) {
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) { t.Parallel(); test(t, p.mount(t)) })
	}
}

// loop is a filesystem in a file.
func loop(t *testing.T, mib int64, mkfs ...string) string {
	t.Helper()
	_, at := image(t, mib, mkfs...)
	return at
}

func image(t *testing.T, mib int64, mkfs ...string) (file, at string) {
	t.Helper()
	testkit.RequireRoot(t)
	if _, err := exec.LookPath(mkfs[0]); err != nil {
		testkit.Skip(t, mkfs[0], "not installed (Debian: xfsprogs, e2fsprogs)")
	}
	file = filepath.Join(t.TempDir(), "image")
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, os.Truncate(file, mib<<20))
	command(t, append(mkfs, file)...)
	return file, mounted(t, "mount", "-o", "loop", file)
}

// mounted appends a new directory to a mount command.
func mounted(t *testing.T, argv ...string) string {
	t.Helper()
	at := testkit.PublicDir(t)
	command(t, append(argv, at)...)
	t.Cleanup(func() { testkit.Unmount(t, at) })
	return at
}

// command skips where the machine does not let us make disks.
func command(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		testkit.Skip(t, "loop mount", fmt.Sprintf("%v: %v: %s", argv, err, out))
	}
}

func mkdir(t testing.TB, parts ...string) string {
	t.Helper()
	p := filepath.Join(parts...)
	must(t, os.MkdirAll(p, 0o755))
	return p
}

func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func opened(t testing.TB, dir string, o Options) *Tree {
	t.Helper()
	tree, err := Open(dir, o)
	must(t, err)
	t.Cleanup(func() { must(t, tree.Close()) })
	return tree
}

// walked is all of a tree, which must be quiet.
func walked(t testing.TB, tree *Tree) []Entry {
	t.Helper()
	var all []Entry
	for e, err := range tree.Walk() {
		must(t, err)
		all = append(all, e)
	}
	return all
}

func paths(entries []Entry) string {
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&b, "%s\n", e.Path)
	}
	return b.String()
}

// mustEqual compares two directories with everything.
func mustEqual(t testing.TB, a, b string, o EqualOptions) {
	t.Helper()
	ta, err := Open(a, Options{})
	must(t, err)
	tb, err := Open(b, Options{})
	must(t, err)
	diffs, err := Equal(ta, tb, o)
	must(t, err)
	for _, d := range diffs {
		t.Error(d)
	}
	must(t, ta.Close())
	must(t, tb.Close())
	if t.Failed() {
		t.FailNow()
	}
}

const testLimit = 2 * time.Minute

func inDir(argv []string, dir string) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	return cmd
}
