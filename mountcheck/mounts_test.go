package mountcheck

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// deadline bounds every wait of a test.
const deadline = 20 * time.Second

// directory makes a directory to mount on, without symbolic links in its path.
func directory(t testing.TB, name string) string {
	t.Helper()
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mount(t testing.TB, source, target, fstype string, flags uintptr, data string) {
	t.Helper()
	needMounts(t)
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		t.Fatalf("mount %s on %s: %v", source, target, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
}

// tmpfs mounts a small one on a new directory.
func tmpfs(t testing.TB, name string) string {
	t.Helper()
	dir := directory(t, name)
	mount(t, "tmpfs-"+name, dir, "tmpfs", 0, "size=1m")
	return dir
}

// unmount waits for a probe that is just looking: it keeps what it looks at busy.
func unmount(t testing.TB, dir string, flags int) {
	t.Helper()
	eventually(t, "umount "+dir, func() bool {
		err := unix.Unmount(dir, flags)
		if err != nil && !errors.Is(err, unix.EBUSY) {
			t.Fatalf("umount %s: %v", dir, err)
		}
		return err == nil
	})
}

func quick(t testing.TB, c Config) Config {
	if c.Period == 0 {
		c.Period = 50 * time.Millisecond
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	c.Log = t.Logf
	return c
}

func watch(t testing.TB, c Config) *Watcher {
	t.Helper()
	w, err := Watch(context.Background(), quick(t, c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// want waits for a finding of one kind at one path; what comes before it must be of the kinds allowed.
func want(t testing.TB, w *Watcher, path string, kind Kind, before ...Kind) Finding {
	t.Helper()
	limit := time.After(deadline)
	for {
		select {
		case f, ok := <-w.Findings():
			switch {
			case !ok:
				t.Fatalf("findings ended before %s at %s", kind, path)
			case f.Kind == kind && f.Path == path:
				return f
			}
			allowed := f.Path != path
			for _, k := range before {
				allowed = allowed || f.Kind == k
			}
			if !allowed {
				t.Fatalf("got %+v, want %s at %s", f, kind, path)
			}
		case <-limit:
			t.Fatalf("no %s at %s within %s; state %+v", kind, path, deadline, w.State())
		}
	}
}

// quietFor checks that no further finding comes while several probes pass.
func quietFor(t testing.TB, w *Watcher, d time.Duration) {
	t.Helper()
	select {
	case f := <-w.Findings():
		t.Fatalf("unexpected finding %+v", f)
	case <-time.After(d):
	}
}

func one(t testing.TB, c Config) Finding {
	t.Helper()
	all := Look(context.Background(), quick(t, c))
	if len(all) != 1 {
		t.Fatalf("got %d findings, want 1: %+v", len(all), all)
	}
	return all[0]
}
