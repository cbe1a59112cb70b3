package fstree

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"golang.org/x/sys/unix"
)

// points are where a restore is killed or cut, in their order, and whether sentinels may be there then.
func points() []struct {
	name string
	last bool
} {
	return []struct {
		name string
		last bool
	}{
		{"fstree:aside", false}, {"fstree:begun", false}, {"fstree:written", false}, {"fstree:synced", false},
		{"fstree:sentinel", true}, {"fstree:sentinel#2", true}, {"fstree:late", true}, {"fstree:done", true},
	}
}

const lastOnes = "global/pg_control ibdata1"

// breaking is this test binary with break points.
func breaking(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copier")
	cmd := exec.Command("go", "test", "-c", "-tags", "breakpoints", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return path
}

// startCopy starts a copier that ends at a point.
func startCopy(t *testing.T, exe, from, to, point, action string) *testkit.Process {
	t.Helper()
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), copyFrom+"="+from, copyTo+"="+to, copyLast+"="+lastOnes, "BREAKPOINT="+point+"="+action)
	return testkit.StartCmd(t, cmd)
}

// oldAndNew makes two data directories of a service, which differ.
func oldAndNew(t *testing.T, from, old string) {
	t.Helper()
	for i, dir := range []string{from, old} {
		mkdir(t, dir, "global")
		mkdir(t, dir, "base")
		must(t, os.WriteFile(filepath.Join(dir, "ibdata1"), []byte(strings.Repeat("version "+string(rune('0'+i)), 100_000)), 0o640))
		write(t, filepath.Join(dir, "global/pg_control"), "control "+string(rune('0'+i)))
		must(t, os.WriteFile(filepath.Join(dir, "base/1"), []byte(strings.Repeat("rows "+string(rune('0'+i)), 400_000)), 0o600))
		write(t, filepath.Join(dir, "base/only"+string(rune('0'+i))), "x")
		must(t, os.Chmod(filepath.Join(dir, "global"), 0o500))
	}
}

func sentinelsIn(t *testing.T, dir string) int {
	t.Helper()
	n := 0
	for s := range strings.FieldsSeq(lastOnes) {
		_, err := os.Lstat(filepath.Join(dir, s))
		if err == nil {
			n++
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return n
}

// Killed at each point: while a sentinel is there, all the rest is; the next restore completes.
func TestKilledAtEachPoint(t *testing.T) {
	exe, dir := breaking(t), t.TempDir()
	from := mkdir(t, dir, "from")
	oldAndNew(t, from, mkdir(t, dir, "unused"))
	for _, p := range points() {
		to := mkdir(t, dir, strings.NewReplacer(":", "-", "#", "-").Replace(p.name))
		oldAndNew(t, mkdir(t, dir, "unused"+filepath.Base(to)), to)
		proc := startCopy(t, exe, from, to, p.name, "kill")
		if code := proc.Wait(t, testLimit); code != 128+int(syscall.SIGKILL) && code != -1 {
			t.Fatalf("%s: exit %d: %s", p.name, code, proc.Stderr(t))
		}
		if n := sentinelsIn(t, to); (n > 0) != p.last {
			t.Errorf("%s: %d sentinels are there", p.name, n)
		} else if n > 0 {
			sameBut(t, from, to)
		}
		must(t, copyTree(from, to, TargetOptions{Ours: true, Sentinels: strings.Fields(lastOnes)}))
		mustEqual(t, from, to, EqualOptions{})
	}
}

// sameBut: all is there; only directories above sentinels, and sentinels, may be unfinished.
func sameBut(t *testing.T, from, to string) {
	t.Helper()
	a, b := opened(t, from, Options{}), opened(t, to, Options{})
	diffs, err := Equal(a, b, EqualOptions{Limit: 1000})
	must(t, err)
	for _, d := range diffs {
		top, _, _ := strings.Cut(d.Path, "/")
		if d.Path != Root && top != "global" && top != "ibdata1" && top != "ibdata1"+aside {
			t.Error(d)
		}
	}
}

// The power goes at each point: what is on the disk then, seen by a copy of the disk, holds a sentinel only
// if it holds all the rest.
func TestPowerCutAtEachPoint(t *testing.T) {
	exe := breaking(t)
	from := mkdir(t, t.TempDir(), "from")
	oldAndNew(t, from, mkdir(t, t.TempDir(), "unused"))
	for _, p := range points()[1:] { // before the first sync the disk has the old tree
		disk, at := image(t, 64, "mkfs.ext4", "-q")
		to := mkdir(t, at, "to")
		oldAndNew(t, mkdir(t, t.TempDir(), "unused"), to)
		unix.Sync()
		proc := startCopy(t, exe, from, to, p.name, "stop")
		waitStopped(t, proc)
		commitNames(t, filepath.Join(to, "global"))
		cut := filepath.Join(t.TempDir(), "cut")
		must(t, copySparse(disk, cut))
		proc.Signal(t, syscall.SIGKILL)
		proc.Wait(t, testLimit)
		after := filepath.Join(mounted(t, "mount", "-o", "loop", cut), "to")
		n := sentinelsIn(t, after)
		if n > 0 && !p.last || n < 2 && p.name == "fstree:done" {
			t.Errorf("%s: %d sentinels are on the disk", p.name, n)
		}
		if n > 0 {
			sameBut(t, from, after)
		}
		if p.name == "fstree:done" {
			mustEqual(t, from, after, EqualOptions{})
		}
	}
}

// commitNames has the disk learn all names and lengths, and not the data: what a journal may do at any time.
func commitNames(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Open(dir)
	must(t, err)
	must(t, errors.Join(f.Sync(), f.Close()))
}

func copySparse(from, to string) error {
	return exec.Command("cp", "--sparse=always", from, to).Run()
}

func waitStopped(t *testing.T, p *testkit.Process) {
	t.Helper()
	testkit.Wait(t, time.Minute, func() (bool, string) {
		stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.Pid()), "stat"))
		must(t, err)
		_, rest, _ := strings.Cut(string(stat), ") ")
		return strings.HasPrefix(rest, "T"), "it does not stop: " + string(stat)
	})
}
