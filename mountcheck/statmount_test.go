package mountcheck

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// marked is a watched tmpfs whose mark is known, and skips before Linux 6.8.
func marked(t *testing.T, e Expect) (*target, string) {
	t.Helper()
	if e.Path == "" {
		e.Path = tmpfs(t, "a")
	}
	if takeMark(e.Path).raw == "" {
		t.Skip("no statmount(2) here")
	}
	tg := newTarget(newEnv(Config{}), e)
	t.Cleanup(tg.prober.env.close)
	if err := tg.judgeNow(); err != nil {
		t.Fatal(err)
	}
	return tg, e.Path
}

// TestMarkSeesEachChange: whatever the mount table would show differently makes a mark differ.
func TestMarkSeesEachChange(t *testing.T) {
	remount := func(flags uintptr, data string) func(dir string) error {
		return func(dir string) error { return unix.Mount("", dir, "", unix.MS_REMOUNT|flags, data) }
	}
	for name, change := range map[string]func(dir string) error{
		"read-only":         remount(unix.MS_RDONLY, ""),
		"read-only bind":    remount(unix.MS_BIND|unix.MS_RDONLY, ""),
		"an option":         remount(0, "size=2m"),
		"a flag":            remount(unix.MS_NOEXEC, ""),
		"unmounted":         func(dir string) error { return unix.Unmount(dir, 0) },
		"mounted over":      func(dir string) error { return unix.Mount("b", dir, "tmpfs", 0, "") },
		"bound over itself": func(dir string) error { return unix.Mount(dir, dir, "", unix.MS_BIND, "") },
		"mounted again": func(dir string) error {
			if err := unix.Unmount(dir, 0); err != nil {
				return err
			}
			return unix.Mount("tmpfs-a", dir, "tmpfs", 0, "size=1m")
		},
	} {
		t.Run(name, func(t *testing.T) {
			tg, dir := marked(t, Expect{})
			t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
			if !tg.unchanged(takeMark(dir)) {
				t.Fatal("changed before anything was done")
			}
			if err := change(dir); err != nil {
				t.Fatal(err)
			}
			if tg.unchanged(takeMark(dir)) {
				t.Error("the mark does not show it")
			}
		})
	}
}

// TestNoMarkOfWhatIsNotRight: a bad finding is looked into each time.
func TestNoMarkOfWhatIsNotRight(t *testing.T) {
	tg, dir := marked(t, Expect{Path: tmpfs(t, "b"), FSType: "ext4"})
	if tg.unchanged(takeMark(dir)) || tg.mark.raw != "" {
		t.Errorf("kept a mark of a wrong mount: %+v", tg.state.table)
	}
}

// TestMarkNeverAsksAFilesystem: below a mount that hangs there is no mark, and no hang.
func TestMarkNeverAsksAFilesystem(t *testing.T) {
	f := newFaultyFS(t)
	f.set(modeHang)
	if m := takeMark(filepath.Join(f.dir, "below")); m.raw != "" {
		t.Errorf("got a mark of a path that nobody answered for: %+v", m)
	}
	takeMark(f.dir) // with or without an answer, but not after a question
	f.held.Lock()
	defer f.held.Unlock()
	if len(f.held.requests) > 0 {
		t.Errorf("the filesystem was asked %d times", len(f.held.requests))
	}
}

// crowded adds mounts that are nobody's business here.
func crowded(b *testing.B, n int) {
	for i := range n {
		dir := filepath.Join(b.TempDir(), fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		mount(b, "crowd", dir, "tmpfs", 0, "size=4k")
	}
}

// BenchmarkWake is what a change of another mount costs a watch, with 1,000 mounts.
func BenchmarkWake(b *testing.B) {
	needMounts(b)
	dir := tmpfs(b, "a")
	crowded(b, 1000)
	tg := newTarget(newEnv(Config{}), Expect{Path: dir})
	defer tg.prober.env.close()
	if err := tg.judgeNow(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !tg.unchanged(takeMark(dir)) {
			b.Fatal("changed")
		}
	}
}
