package snapshots

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// filled is a place with one snapshot of a tree.
func filled(t *testing.T, p *place) (data string, s snapshotDoc) {
	t.Helper()
	data = tree(t, filepath.Join(p.home, "data"))
	p.init(t)
	return data, backedUp(t, p, "--data", data)
}

// TestNoWay: keys that are refused, a bucket that is not there and a server that does not answer each have
// their own end, and none is ever an empty repository.
func TestNoWay(t *testing.T) {
	t.Parallel()
	p := inS3(t)
	data, _ := filled(t, p)
	wrong, missing, silent := *p, *p, *p
	wrong.env = testkit.S3Env("tester", "wrong", p.home)
	missing.flags = append([]string{"--store", "s3://no-such-bucket/db"}, p.flags[2:]...)
	silent.flags = append([]string{"--store", p.flags[1], "--store-endpoint", "http://127.0.0.1:9"}, p.flags[4:]...)
	to := filepath.Join(p.home, "to")
	for _, words := range [][]string{
		{"snapshots"}, {"backup", "--data", data}, {"restore", "--to", to}, {"restore", "--to", to, "--dry-run"}, {"verify"},
		{"prune", "--keep-last", "1"}, {"store", "init"},
	} {
		wrong.ends(t, 77, "credentials refused", words...)
		missing.ends(t, 69, "no such bucket", words...)
	}
	// It takes its time to give up.
	silent.ends(t, 69, "does not answer", "snapshots")
	for _, c := range []struct {
		p    place
		code int
		do   string
	}{{wrong, 77, "check the keys"}, {missing, 69, "create the bucket"}} {
		if code, out, _ := c.p.run(t, "store", "doctor"); code != c.code || !strings.Contains(out, c.do) {
			t.Errorf("doctor: %d %s: expected %d and the way out", code, out, c.code)
		}
	}
	if _, err := os.Lstat(to); !os.IsNotExist(err) {
		t.Errorf("a restore without a store made %s (%v)", to, err)
	}
	if n := len(p.list(t)); n != 1 {
		t.Errorf("%d snapshots are left", n)
	}
}

// TestForeign: what is not ours is never written into.
func TestForeign(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	data := tree(t, filepath.Join(p.home, "data"))
	write(t, filepath.Join(p.dir, "important"), []byte("x"))
	for _, words := range [][]string{{"store", "init"}, {"backup", "--data", data}, {"prune"}, {"snapshots"}} {
		p.ends(t, 78, "important", words...)
	}
	if left := objects(t, p, ""); len(left) != 1 {
		t.Errorf("%v: expected what was there alone", left)
	}
}

// objects are the files below the store whose names end so.
func objects(t testing.TB, p *place, suffix string) (found []string) {
	t.Helper()
	must(t, filepath.WalkDir(p.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && strings.HasSuffix(path, suffix) && !strings.Contains(path, "/.") {
			found = append(found, path)
		}
		return err
	}))
	return found
}

// TestDamage: each kind of object, flipped, cut short and lost, is found, and nothing of it is restored.
func TestDamage(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		data, s := filled(t, p)
		for _, kind := range []struct{ suffix, name string }{{"00000.pack", "pack"}, {"manifest.zst", "manifest"}} {
			path := objects(t, p, kind.suffix)[0]
			whole, err := os.ReadFile(path)
			must(t, err)
			for how, broken := range map[string][]byte{"flipped": flipped(whole), "short": whole[:len(whole)-1], "lost": nil} {
				must(t, os.Remove(path))
				if broken != nil {
					write(t, path, broken)
				}
				t.Run(kind.name+" "+how, func(t *testing.T) { damaged(t, p, s) })
				write(t, path, whole)
			}
		}
		// What was marked is cleared once it is whole again.
		if out := p.ok(t, "verify"); !strings.Contains(out, "cleared") || p.list(t)[0].Damaged != "" {
			t.Errorf("%s: expected the mark to go", out)
		}
		p.ok(t, "backup", "--data", data)
		catalogDamaged(t, p)
	})
}

func flipped(whole []byte) []byte {
	b := append([]byte{}, whole...)
	b[len(b)/2] ^= 0x40
	return b
}

func damaged(t *testing.T, p *place, s snapshotDoc) {
	t.Helper()
	to := filepath.Join(p.home, "damaged")
	if all := p.list(t); all[0].Damaged == "" { // else it is not even tried
		p.ends(t, 65, s.ID, "restore", "--to", to)
	}
	code, stdout, stderr := p.run(t, "verify", "--json")
	var doc verifyDoc
	strictly(t, last(stdout), &doc)
	if r := doc.Result; code != 65 || r.Damaged != 1 || r.Snapshots[0].OK {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
	if all := p.list(t); all[0].Damaged == "" {
		t.Errorf("not marked: %s", stdout)
	}
	p.ends(t, 65, "damaged", "restore", "--to", to)
	if entries, err := os.ReadDir(to); err == nil && len(entries) > 0 {
		must(t, os.RemoveAll(to))
	}
}

func catalogDamaged(t *testing.T, p *place) {
	t.Helper()
	all := objects(t, p, "")
	newest := ""
	for _, path := range all {
		if strings.Contains(path, "/catalog/0") {
			newest = max(newest, path)
		}
	}
	whole, err := os.ReadFile(newest)
	must(t, err)
	write(t, newest, whole[:len(whole)/2])
	for _, words := range [][]string{{"snapshots"}, {"verify"}, {"prune", "--keep-last", "1"}, {"restore", "--to", filepath.Join(p.home, "x")}, {"backup", "--data", filepath.Join(p.home, "data")}} {
		p.ends(t, 65, "catalog", words...)
	}
	if after := objects(t, p, ""); len(after) < len(all) {
		t.Errorf("%d objects of %d are left", len(after), len(all))
	}
}

// TestMovingFile: a file that does not rest fails a cold backup, and nothing is published.
func TestMovingFile(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	data, _ := filled(t, p)
	moving := filepath.Join(data, "moving")
	write(t, moving, noise(3, 64<<20))
	writer := testkit.Start(t, "sh", "-c", `i=0; while :; do i=$((i+1)); echo $i | dd of="$0" bs=1 seek=$((i % 1000)) conv=notrunc 2>/dev/null; done`, moving)
	code, _, stderr := p.run(t, "backup", "--data", data)
	if code != 73 || !strings.Contains(stderr, "nothing was published") || !strings.Contains(stderr, "moving") {
		t.Errorf("%d %s: expected the moving file to fail it", code, stderr)
	}
	writer.Signal(t, unix.SIGKILL)
	writer.Wait(t, limit)
	if n := len(p.list(t)); n != 1 {
		t.Errorf("%d snapshots", n)
	}
	p.ok(t, "backup", "--data", data)
}

// TestFullDisk: a store and a target without room end clearly; what was there before stands.
func TestFullDisk(t *testing.T) {
	testkit.RequireRoot(t)
	t.Parallel()
	small := t.TempDir()
	must(t, unix.Mount("tmpfs", small, "tmpfs", 0, "size=32m"))
	t.Cleanup(func() {
		if err := unix.Unmount(small, 0); err != nil {
			t.Error(err)
		}
	})
	p := &place{dir: filepath.Join(small, "store"), home: t.TempDir()}
	must(t, os.Mkdir(p.dir, 0o755))
	p.flags = []string{"--store", "file://" + p.dir}
	data, s := filled(t, p)
	write(t, filepath.Join(data, "huge"), noise(4, 64<<20))
	p.ends(t, 69, "no space left", "backup", "--data", data)
	if all := p.list(t); len(all) != 1 || all[0].ID != s.ID {
		t.Errorf("%+v", all)
	}
	p.ok(t, "verify")
	if left := objects(t, p, ""); slices.ContainsFunc(left, func(o string) bool { return strings.Contains(o, "/snap/") && !strings.Contains(o, s.ID) }) {
		t.Errorf("%q: expected nothing of the backup that found no room", left)
	}
	must(t, os.Remove(filepath.Join(data, "huge")))
	p.ok(t, "backup", "--data", data)
	p.ok(t, "prune", "--keep-last", "1")

	big := inDirectory(t)
	write(t, filepath.Join(data, "huge"), noise(4, 64<<20))
	big.ok(t, "store", "init")
	big.ok(t, "backup", "--data", data)
	before := below(t, small)
	big.ends(t, 73, "nothing was changed", "restore", "--to", filepath.Join(small, "to"))
	must(t, os.Mkdir(filepath.Join(small, "theirs"), 0o755))
	big.ends(t, 73, "nothing was changed", "restore", "--to", filepath.Join(small, "theirs", "to"))
	big.ends(t, 73, "nothing was changed", "restore", "--to", filepath.Join(small, "theirs"))
	if after := below(t, small); !slices.Equal(after, append(before, "theirs")) {
		t.Errorf("left by restores for which there is no room: %q, before %q", after, before)
	}
}

// TestPruneFullDisk: where a store has no room for a commit, prune deletes first what needs none to be garbage; what
// snapshots need it never does.
func TestPruneFullDisk(t *testing.T) {
	testkit.RequireRoot(t)
	t.Parallel()
	small := t.TempDir()
	must(t, unix.Mount("tmpfs", small, "tmpfs", 0, "size=16m"))
	t.Cleanup(func() { testkit.Unmount(t, small) })
	p := &place{dir: filepath.Join(small, "store"), home: t.TempDir()}
	must(t, os.Mkdir(p.dir, 0o755))
	p.flags = []string{"--store", "file://" + p.dir}
	p.ok(t, "store", "init")
	dead := backedUp(t, p, "--", "echo", "0")
	backedUp(t, p, "--", "echo", "1")
	p.ok(t, "prune", "--keep-last", "1")
	for name, garbage := range map[string]string{
		"a pack that came late": filepath.Join(p.dir, "snap", dead.ID, "00000.pack"),
		"of a killed writer":    filepath.Join(p.dir, ".tmp", "KILLED"),
	} {
		t.Run(name, func(t *testing.T) {
			last := backedUp(t, p, "--", "echo", name)
			must(t, os.MkdirAll(filepath.Dir(garbage), 0o755))
			write(t, garbage, noise(1, 1<<20))
			old := time.Now().Add(-2 * time.Hour)
			must(t, os.Chtimes(garbage, old, old))
			filler := filepath.Join(small, "filler")
			if err := os.WriteFile(filler, noise(2, 16<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
				t.Fatalf("expected a full disk: %v", err)
			}
			p.ok(t, "prune", "--keep-last", "1")
			if all := p.list(t); len(all) != 1 || all[0].ID != last.ID || len(objects(t, p, filepath.Base(garbage))) > 1 {
				t.Errorf("%+v", all)
			}
			must(t, os.Remove(filler))
		})
	}
	backedUp(t, p, "--", "echo", "another one")
	if err := os.WriteFile(filepath.Join(small, "filler"), noise(2, 16<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("expected a full disk: %v", err)
	}
	p.ends(t, 69, "no space left", "prune", "--keep-last", "1")
	p.ok(t, "verify", "--all")
	if all := p.list(t); len(all) != 2 {
		t.Errorf("%+v", all)
	}
}

// below are the names in a directory.
func below(t testing.TB, dir string) (names []string) {
	t.Helper()
	found, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range found {
		names = append(names, e.Name())
	}
	return names
}

// TestReadOnlyStore: a store that may only be read is read, and whoever would write is told what it is.
func TestReadOnlyStore(t *testing.T) {
	testkit.RequireRoot(t)
	t.Parallel()
	p := inDirectory(t)
	data, s := filled(t, p)
	backedUp(t, p, "--data", data)
	must(t, unix.Mount(p.dir, p.dir, "", unix.MS_BIND, ""))
	t.Cleanup(func() { testkit.Unmount(t, p.dir) })
	must(t, unix.Mount("", p.dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
	for _, words := range [][]string{
		{"backup", "--data", data}, {"prune", "--keep-last", "1", "--abandon-after", "1h"}, {"pin", s.ID, "--reason", "x"}, {"store", "init"},
	} {
		p.ends(t, 69, "read-only file system", words...)
	}
	p.ok(t, "verify")
	p.ok(t, "restore", "--to", filepath.Join(p.home, "to"), "--verify")
}

// TestFrozenStore: a store on the filesystem that is to be frozen is refused before anything is held.
func TestFrozenStore(t *testing.T) {
	testkit.RequireRoot(t)
	t.Parallel()
	p := inDirectory(t)
	at := filepath.Join(p.home, "volume")
	must(t, os.Mkdir(at, 0o755))
	must(t, unix.Mount("tmpfs", at, "tmpfs", 0, "size=8m"))
	t.Cleanup(func() { testkit.Unmount(t, at) })
	p.dir = filepath.Join(at, "store")
	must(t, os.Mkdir(p.dir, 0o755))
	p.flags = []string{"--store", "file://" + p.dir}
	p.init(t)
	data := tree(t, filepath.Join(at, "data"))
	hook, err := filepath.Abs("../../../examples/hooks/filesystem-freeze")
	must(t, err)
	p.ends(t, 73, "the store "+p.dir+" lies on "+at, "backup", "--data", data, "--mode", "hook", "--freeze", `["`+hook+`","`+at+`"]`)
}

// TestShrink: what is suddenly small is not published unasked.
func TestShrink(t *testing.T) {
	t.Parallel()
	p := inDirectory(t)
	data, _ := filled(t, p)
	must(t, os.Remove(filepath.Join(data, "big")))
	must(t, os.Remove(filepath.Join(data, "sub", "same")))
	p.ends(t, 73, "much smaller", "backup", "--data", data)
	p.ok(t, "backup", "--data", data, "--allow-shrink")
	p.ends(t, 78, "data", "backup", "--data", filepath.Join(p.home, "none")+"/")
	p.ends(t, 73, "none", "backup", "--data", filepath.Join(p.home, "none"))
}
