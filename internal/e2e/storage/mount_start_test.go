package storage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// revision of a key space counts every change that anybody made.
func revision(t *testing.T, e *testkit.EtcdServer) string {
	t.Helper()
	out, err := e.Ctl("endpoint", "status", "--write-out", "fields")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if rest, found := strings.CutPrefix(line, `"Revision"`); found {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no revision in %s", out)
	return ""
}

// A node without the mount never shows up in the queue, or it would win the lock again and again. Not in
// parallel: nobody else may write to the etcd server that is looked at.
func TestMissingMountDoesNotQueue(t *testing.T) {
	e := testkit.SharedEtcd(t)
	s := scene.New(t)
	s.Lock = "etcd://" + e.Addr() + "/" + t.Name()
	bare := mkdir(t, s.Dir, "bare")
	s.Data = filepath.Join(bare, "db")
	before := revision(t, e)
	a := s.Run(t, "a", scene.Flags("--mount", bare))
	wantReason(t, a.Expect(t, limit, 72), bare)
	if after := revision(t, e); after != before {
		t.Errorf("the lock service was written to: revision %s, then %s", before, after)
	}
	if left, err := os.ReadDir(bare); err != nil || len(left) > 0 {
		t.Errorf("in the bare directory: %v, %v", left, err)
	}
	nothingBegan(t, s)
}

func TestMissingMountWithItsDataBelow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, mount, data string }{
		{"bare directory", "bare", "bare/db"},
		{"no directory", "none", "data"},
		{"directory of another mount", "mnt/bare", "mnt/bare"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, _ := mounted(t)
			mkdir(t, s.Dir, "bare")
			mkdir(t, s.Dir, "bare/db")
			mkdir(t, s.Dir, "mnt/bare")
			s.Data = filepath.Join(s.Dir, c.data)
			a := s.Run(t, "a", scene.Flags("--mount", filepath.Join(s.Dir, c.mount)))
			wantReason(t, a.Expect(t, limit, 72), c.mount)
			for _, path := range []string{"none", "lock", ".interlock", "bare/.interlock", "mnt/.interlock", "mnt/bare/.interlock"} {
				if exists(t, filepath.Join(s.Dir, path)) {
					t.Errorf("%s was created", path)
				}
			}
			nothingBegan(t, s)
		})
	}
}

func TestWrongMount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, part, found string }{
		{"fstype", "fstype=ext4", "tmpfs"},
		{"source", "source=filer*:/orders", "storage-test"},
		{"lacks an option", "opts=noexec", "noexec"},
		{"has a forbidden option", "opts=!rw", "rw"},
		{"not ro", "opts=ro", "ro"},
		{"no volume id", "volume=orders-01", "orders-01"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, point := mounted(t)
			wantReason(t, s.Run(t, "a", scene.Flags("--mount", point+","+c.part)).Expect(t, limit, 72), point, c.found)
			if exists(t, filepath.Join(s.Dir, "lock")) {
				t.Error("it went on to the lock")
			}
			if exists(t, filepath.Join(point, ".interlock")) {
				t.Error("something was created on the wrong mount")
			}
			nothingBegan(t, s)
		})
	}
}

func TestVolumeID(t *testing.T) {
	t.Parallel()
	s, point := mounted(t)
	if code, out, errs := scene.Interlock(t, "mount", "init", "--volume", "orders-01", point); code != 0 || !strings.Contains(out, "orders-01") {
		t.Fatalf("mount init: %d: %s%s", code, out, errs)
	}
	a := s.Run(t, "a", scene.Flags("--mount", point+",fstype=tmpfs,source=storage-*,opts=rw+!noexec,volume=orders-01"))
	alive(t, s, a)
	if code := a.Stop(t); code != 0 {
		t.Errorf("exit code %d: %s", code, a.ReasonText())
	}
	b := s.Run(t, "b", scene.Flags("--mount", point+",volume=orders-02"))
	wantReason(t, b.Expect(t, limit, 72), "orders-01", "orders-02")
	if code, _, _ := scene.Interlock(t, "mount", "init", "--volume", "orders-02", point); code != 72 {
		t.Errorf("mount init over another id: %d", code)
	}
	if code, _, _ := scene.Interlock(t, "mount", "init", s.Dir); code != 72 {
		t.Errorf("mount init where nothing is mounted: %d", code)
	}
}

// A random id is a good one, and stays.
func TestRandomVolumeID(t *testing.T) {
	t.Parallel()
	s, point := mounted(t)
	code, out, errs := scene.Interlock(t, "mount", "init", point)
	at := strings.LastIndex(out, "volume=")
	if code != 0 || at < 0 {
		t.Fatalf("mount init: %d: %s%s", code, out, errs)
	}
	expect := strings.TrimSpace(out[at:])
	if _, again, _ := scene.Interlock(t, "mount", "init", point); !strings.Contains(again, expect) {
		t.Errorf("a second mount init says %s, expected the same %s", again, expect)
	}
	a := s.Run(t, "a", scene.Flags("--mount", point+","+expect))
	alive(t, s, a)
	a.Stop(t)
}

// Names with spaces and commas, by flag and by variable, one mount and two.
func TestMountNamesWithSpacesAndCommas(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	one, two := filepath.Join(s.Dir, "a b, c"), filepath.Join(s.Dir, "d,e f")
	tmpfs(t, one)
	tmpfs(t, two)
	s.Data = mkdir(t, one, "d b")
	escaped := func(p string) string { return strings.ReplaceAll(p, ",", `\,`) + ",fstype=tmpfs" }
	for _, c := range []struct {
		name string
		how  scene.Option
	}{
		{"flags", scene.Flags("--mount", escaped(one), "--mount", escaped(two))},
		{"lines", scene.Env("INTERLOCK_MOUNT=" + escaped(one) + "\n" + escaped(two))},
		{"semicolons", scene.Env("INTERLOCK_MOUNT=" + escaped(one) + ";" + escaped(two))},
	} {
		a := s.Run(t, c.name, c.how)
		st := alive(t, s, a)
		for _, want := range []string{one, two} {
			found := false
			for _, m := range st.Mounts {
				found = found || m.Path == want && m.Finding == "ok"
			}
			if !found {
				t.Errorf("%s: %q is not among the mounts %+v", c.name, want, st.Mounts)
			}
		}
		if code := a.Stop(t); code != 0 {
			t.Errorf("%s: exit code %d: %s", c.name, code, a.ReasonText())
		}
		if !exists(t, filepath.Join(one, ".interlock", "claim.json")) {
			t.Errorf("%s: no claim in the root of %q", c.name, one)
		}
	}
}

// A mount that is wanted read-only is never written to.
func TestReadOnlyMountIsNotProbedByWrites(t *testing.T) {
	t.Parallel()
	s := scene.New(t)
	point := filepath.Join(s.Dir, "reference")
	tmpfs(t, point)
	write(t, filepath.Join(point, "table"), "x")
	remount(t, point, true)
	before := tree(t, point)
	a := s.Run(t, "a", scene.Flags("--mount", point+",opts=ro", "--probe-period", "50ms"))
	alive(t, s, a)
	<-timeAfterProbes()
	if st, err := a.Status(); err != nil || st.Phase != "serving" || len(st.Mounts) == 0 {
		t.Fatalf("%+v, %v", st, err)
	} else {
		for _, m := range st.Mounts {
			if m.Finding != "ok" {
				t.Errorf("%s is %s", m.Path, m.Finding)
			}
		}
	}
	if code := a.Stop(t); code != 0 {
		t.Errorf("exit code %d: %s", code, a.ReasonText())
	}
	if after := tree(t, point); after != before {
		t.Errorf("the mount was changed: %s, then %s", before, after)
	}
}

// The other way round the write probe is there, and finds what no look at the table finds: no rights.
func TestWriteProbeFindsAMountThatTakesNoWrites(t *testing.T) {
	t.Parallel()
	s, point := mounted(t)
	if err := os.Chmod(s.Data, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(point, 0o777); err != nil {
		t.Fatal(err)
	}
	a := s.Run(t, "a", scene.Wrapped(testkit.Unprivileged),
		scene.Flags("--mount", point+",fail_after=300ms", "--probe-period", "50ms"))
	alive(t, s, a)
	if err := os.Chmod(filepath.Join(point, ".interlock"), 0o555); err != nil {
		t.Fatal(err)
	}
	wantReason(t, a.Expect(t, limit, 74), point)
}
