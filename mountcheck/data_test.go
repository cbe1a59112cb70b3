package mountcheck

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDataOnAPlainDisk(t *testing.T) {
	needMounts(t)
	dir := directory(t, "plain")
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]Kind{dir: OK, filepath.Join(dir, "none"): NoData, file: NoData, filepath.Join(file, "below"): NoData} {
		all := Look(context.Background(), quick(t, Config{Data: path}))
		f, refused := Refusal(all)
		if refused != (kind != OK) || refused && (f.Kind != kind || f.Path != path) {
			t.Errorf("%s: got %+v, want %s", path, all, kind)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "none")); !os.IsNotExist(err) {
		t.Errorf("created: %v", err)
	}
}

// The mount is the reason, the missing data directory only follows from it.
func TestAMissingMountComesBeforeItsData(t *testing.T) {
	dir := directory(t, "unmounted")
	c := Config{Expect: []Expect{{Path: dir}}, Data: filepath.Join(dir, "db")}
	if f, _ := Refusal(Look(context.Background(), quick(t, c))); f.Kind != Absent || f.Path != dir {
		t.Errorf("got %+v", f)
	}
	w := watch(t, c)
	if f := <-w.Findings(); f.Kind != Absent || f.Path != dir {
		t.Errorf("got %+v", f)
	}
}

func TestDataThatMovedToABareDirectoryIsAbsent(t *testing.T) {
	dir := tmpfs(t, "moved")
	data := filepath.Join(dir, "db")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	seen, err := Trace(data)
	if err != nil || seen.Point != dir {
		t.Fatalf("got %+v, %v", seen, err)
	}
	unmount(t, dir, 0)
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if f, _ := Refusal(Look(context.Background(), quick(t, Config{Data: data, Seen: seen}))); f.Kind != Absent || f.Path != dir {
		t.Errorf("got %+v", f)
	}
}

// The text of the table cannot tell that the data lies elsewhere when the link is below a mount.
func TestDataThroughALinkBelowAMount(t *testing.T) {
	outer, real := ext4(t), tmpfs(t, "real")
	if err := os.Symlink(real, filepath.Join(outer, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(real, "db"), 0o755); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(outer, "link", "db")
	if m, err := Trace(data); err != nil || m.Point != outer {
		t.Errorf("a link below a mount was read: %+v, %v", m, err)
	}
	w := watch(t, Config{Data: data})
	want(t, w, real, OK)
	unmount(t, real, unix.MNT_DETACH)
	want(t, w, real, Absent)

	if f := one(t, Config{Expect: []Expect{{Path: filepath.Join(outer, "link")}}}); f.Kind != Absent {
		t.Errorf("got %+v", f)
	}
	mount(t, "again", real, "tmpfs", 0, "size=1m")
	if f := one(t, Config{Expect: []Expect{{Path: filepath.Join(outer, "link")}}}); f.Kind != OK || f.Path != real {
		t.Errorf("got %+v", f)
	}
}

func TestTraceFollowsLinksAboveMounts(t *testing.T) {
	dir := tmpfs(t, "with space")
	base := filepath.Dir(dir)
	for link, to := range map[string]string{"abs": dir, "rel": "with space", "twice": "rel/../rel", "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(base, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{"with space", "abs/x/y", "rel", "twice/none"} {
		if m, err := Trace(filepath.Join(base, p)); err != nil || m.Point != dir {
			t.Errorf("%s: got %+v, %v", p, m, err)
		}
	}
	if _, err := Trace(filepath.Join(base, "loop")); err == nil || !strings.Contains(err.Error(), "symbolic links") {
		t.Errorf("loop: %v", err)
	}
	if _, err := Trace("relative"); err == nil {
		t.Error("a relative path was traced")
	}
	if f := one(t, Config{Expect: []Expect{{Path: filepath.Join(base, "twice")}}}); f.Kind != OK || f.Path != dir {
		t.Errorf("got %+v", f)
	}
}

// The kernel gives the id of an unmounted mount to the next one: only the unique id tells them apart.
func TestTheSameMountAgainIsAnotherOne(t *testing.T) {
	dir := tmpfs(t, "again")
	base, err := Trace(dir)
	if err != nil || base.Unique == 0 {
		t.Skipf("no unique mount ids here (before Linux 6.8): %+v, %v", base, err)
	}
	tg := newTarget(nil, Expect{Path: dir})
	tb := mustTable(t)
	if f := tg.see(tb); f.Kind != OK {
		t.Fatalf("got %+v", f)
	}
	for range 200 {
		unmount(t, dir, 0)
		mount(t, "tmpfs-again", dir, "tmpfs", 0, "size=1m")
		m, err := Trace(dir)
		if err != nil {
			t.Fatal(err)
		}
		if f := tg.see(mustTable(t)); f.Kind != Replaced {
			t.Fatalf("got %+v", f)
		}
		if m.ID == base.ID && m.Minor == base.Minor {
			return // the case that only the unique id decides has been met
		}
	}
	t.Log("the kernel never used the id again")
}

// Where the way to a mountpoint crosses a mount that must not be touched, the helper compares.
func TestTheSameMountAgainBelowAnother(t *testing.T) {
	outer := ext4(t)
	dir := filepath.Join(outer, "inner")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	mount(t, "inner", dir, "tmpfs", 0, "size=1m")
	v := newEnv(quick(t, Config{}))
	defer v.close()
	tg := newTarget(v, Expect{Path: dir})
	defer func() {
		if err := tg.prober.end(); err != nil {
			t.Error(err)
		}
	}()
	if m, err := Trace(outer); err != nil || m.Unique == 0 {
		t.Skipf("no unique mount ids here (before Linux 6.8): %+v, %v", m, err)
	}
	tg.examine(t.Context())
	if f := tg.verdict(time.Now()); f.Kind != OK {
		t.Fatalf("got %+v", f)
	}
	for range 200 {
		unmount(t, dir, 0)
		mount(t, "inner", dir, "tmpfs", 0, "size=1m")
		tg.examine(t.Context())
		if f := tg.verdict(time.Now()); f.Kind != Replaced {
			t.Fatalf("got %+v", f)
		}
		if m := mustTable(t).holder(dir); m.ID == tg.state.base.ID && m.Minor == tg.state.base.Minor {
			return // the case that only the unique id decides has been met
		}
	}
	t.Log("the kernel never used the id again")
}

func mustTable(t testing.TB) *table {
	t.Helper()
	tb, err := readTable()
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

func TestBindMounts(t *testing.T) {
	src := tmpfs(t, "src")
	if err := os.Mkdir(filepath.Join(src, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	dst := directory(t, "dst")
	mount(t, filepath.Join(src, "sub"), dst, "", unix.MS_BIND, "")
	for source, kind := range map[string]Kind{"tmpfs-src": OK, "tmpfs-src[/sub]": OK, "tmpfs-src[/other]": Wrong, "x": Wrong} {
		if f := one(t, Config{Expect: []Expect{{Path: dst, Source: source}}}); f.Kind != kind {
			t.Errorf("%s: got %+v", source, f)
		}
	}
	w := watch(t, Config{Expect: []Expect{{Path: dst}}})
	want(t, w, dst, OK)
	w.EnableWrites(dst)
	written(t, w)
	// The same filesystem at the same place, another directory of it.
	mount(t, src, dst, "", unix.MS_BIND, "")
	want(t, w, dst, Replaced)
}
