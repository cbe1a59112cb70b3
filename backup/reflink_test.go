package backup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/testkit"
)

// mounted is a filesystem in a file, or in memory.
func mounted(t *testing.T, kind string) string {
	t.Helper()
	testkit.RequireRoot(t)
	at := testkit.PublicDir(t)
	mount := []string{"mount", "-t", "tmpfs", "-o", "size=64m", "none", at}
	if kind != "tmpfs" {
		if _, err := exec.LookPath("mkfs." + kind); err != nil {
			testkit.Skip(t, "mkfs."+kind, "not installed (Debian: xfsprogs, btrfs-progs)")
		}
		file := filepath.Join(t.TempDir(), "image")
		must(t, os.WriteFile(file, nil, 0o600))
		must(t, os.Truncate(file, 320<<20))
		if out, err := exec.Command("mkfs."+kind, "-q", file).CombinedOutput(); err != nil {
			testkit.Skip(t, "mkfs."+kind, string(out))
		}
		mount = []string{"mount", "-o", "loop", file, at}
	}
	if out, err := exec.Command(mount[0], mount[1:]...).CombinedOutput(); err != nil {
		testkit.Skip(t, "mount of "+kind, fmt.Sprintf("%v: %s", err, out))
	}
	t.Cleanup(func() { testkit.Unmount(t, at) })
	return at
}

// noStaging wants nothing of ours beside the data or in it.
func (r *rig) noStaging(above string) {
	r.Helper()
	if found, err := filepath.Glob(filepath.Join(above, oursName, "*")); err != nil || len(found) > 0 {
		r.Errorf("left: %v, %v", found, err)
	}
}

// The service is let go before anything is copied, and what it writes then is not in the snapshot.
func TestReflink(t *testing.T) {
	t.Parallel()
	for _, below := range []string{"data", "."} { // the data lies on the filesystem, or is its root
		t.Run(below, func(t *testing.T) {
			t.Parallel()
			at := mounted(t, "xfs")
			r := newRig(t)
			r.data = filepath.Join(at, below)
			r.write("a", "one")
			r.write("d/big", strings.Repeat("b", 5<<20))
			r.write("empty", "")
			must(t, os.Link(filepath.Join(r.data, "a"), filepath.Join(r.data, "link")))
			src, told := r.hooked(Reflink, "echo ready; "+waits+"echo label >$INTERLOCK_BACKUP_EXTRA/label; touch $T/thawed")
			res, err := r.takesWhile(src, map[string]func(){snapshot.Root: func() {
				r.thawed(told)
				r.write("a", "two")
				r.write("d/big", "small")
				must(t, os.Remove(filepath.Join(r.data, "empty")))
			}})
			must(t, err)
			got := r.content(res.Snapshot)
			if got["a"] != "one" || len(got["d/big"]) != 5<<20 || got["label"] != "label\n" || len(got) != 7 {
				t.Errorf("snapshot of %d entries, a %q, big %d bytes", len(got), got["a"], len(got["d/big"]))
			}
			r.noStaging(filepath.Dir(filepath.Join(r.data, "x")))
			r.noStaging(at)
		})
	}
}

// Unchanged files are known by what they were in the data directory, not by their clones.
func TestReflinkBuildsOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.data = filepath.Join(mounted(t, "xfs"), "data")
	r.write("a", strings.Repeat("a", 1<<20))
	age(t, r.data)
	src := r.cold()
	src.Mode = Reflink
	r.takes(src)
	r.o.Progress = &snapshot.Progress{}
	r.write("b", "new")
	r.takes(src)
	if n := r.o.Progress.Bytes.Load(); n != 3 {
		t.Errorf("%d bytes read, want 3", n)
	}
}

// Without a freeze command the service must be at rest; with one that lies, too.
func TestReflinkMoves(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.data = filepath.Join(mounted(t, "xfs"), "data")
	r.write("a", "one")
	for i := range 2000 {
		r.write(fmt.Sprintf("f%04d", i), "x")
	}
	src := r.cold()
	src.Mode = Reflink
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := os.WriteFile(filepath.Join(r.data, "a"), []byte(fmt.Sprint(n)), 0o644); err != nil {
				done <- err
				return
			}
		}
	}()
	r.refuses(src, snapshot.ErrChanged)
	close(stop)
	must(t, <-done)
	r.takes(src)
}

// Where files cannot be cloned nobody is frozen for it.
func TestNoReflink(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.data = filepath.Join(mounted(t, "tmpfs"), "data")
	r.write("a", "one")
	src, told := r.hooked(Reflink, "touch $T/begun; echo ready; "+waits)
	err := r.refuses(src, ErrReflink)
	if err == nil || !strings.Contains(err.Error(), "XFS") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(told, "begun")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the freeze command was started")
	}
	r.noStaging(filepath.Dir(r.data))
	src.Staging = filepath.Join(t.TempDir(), "elsewhere")
	src.Data = filepath.Join(mounted(t, "xfs"), "data")
	r.data = src.Data
	r.write("a", "one")
	r.refuses(src, ErrReflink)
}

// What a killed one has left is removed by the next.
func TestReflinkKilled(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	at := mounted(t, "btrfs")
	v.data = filepath.Join(at, "data")
	v.write("a", strings.Repeat("a", 1<<20))
	src := v.cold()
	src.Mode = Reflink
	p := v.start(src, "BREAKPOINT=backup:cloned=kill")
	p.Wait(t, killLimit)
	if found, err := filepath.Glob(filepath.Join(at, oursName, "staging-*", "0", "*")); err != nil || len(found) != 1 {
		t.Fatalf("clones: %v, %v", found, err)
	}
	v.ends(src)
	v.noStaging(at)
	s, _ := ptr(v.catalog()).Newest()
	if got := v.content(s); len(got["a"]) != 1<<20 {
		t.Errorf("%d entries", len(got))
	}
}
