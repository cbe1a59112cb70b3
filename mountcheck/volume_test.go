package mountcheck

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

func TestInitVolume(t *testing.T) {
	dir := tmpfs(t, "vol ume")
	id, err := InitVolume(dir, "")
	if err != nil || len(id) != 36 {
		t.Fatalf("got %q, %v", id, err)
	}
	for _, again := range []string{"", id} {
		if got, err := InitVolume(dir, again); err != nil || got != id {
			t.Fatalf("again: got %q, %v, want %q", got, err, id)
		}
	}
	if _, err := InitVolume(dir, "another"); err == nil || !strings.Contains(err.Error(), id) {
		t.Fatalf("another id was taken: %v", err)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, probe.Sentinel)); err != nil || string(raw) != id+"\n" {
		t.Fatalf("the file has %q, %v", raw, err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Fatalf("left behind: %v, %v", names, err)
	}
	if f := one(t, Config{Expect: []Expect{{Path: dir, Volume: id}}}); f.Kind != OK {
		t.Fatalf("got %+v", f)
	}
	if f := one(t, Config{Expect: []Expect{{Path: dir, Volume: "other"}}}); f.Kind != Wrong || !strings.Contains(f.Detail, id) {
		t.Fatalf("got %+v", f)
	}
}

func TestInitVolumeRefusesABareDirectory(t *testing.T) {
	dir := directory(t, "bare")
	if _, err := InitVolume(dir, "x"); err == nil || !strings.Contains(err.Error(), "nothing is mounted") {
		t.Fatalf("got %v", err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Fatalf("something was created: %v %v", names, err)
	}
	for _, bad := range []string{"a b", "a/b", strings.Repeat("x", 200)} {
		if _, err := InitVolume(dir, bad); err == nil {
			t.Errorf("id %.10q was taken", bad)
		}
	}
}

func TestASentinelThatIsMissingOrNoFileIsWrong(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"missing": func(string) error { return nil },
		"fifo":    func(p string) error { return unix.Mkfifo(p, 0o644) },
		"link":    func(p string) error { return os.Symlink("/etc/hostname", p) },
		"dir":     func(p string) error { return os.Mkdir(p, 0o755) },
		"large":   func(p string) error { return os.WriteFile(p, []byte(strings.Repeat("v", 9000)), 0o644) },
		"empty":   func(p string) error { return os.WriteFile(p, nil, 0o644) },
	} {
		dir := tmpfs(t, name)
		if err := put(filepath.Join(dir, probe.Sentinel)); err != nil {
			t.Fatal(err)
		}
		if f := one(t, Config{Expect: []Expect{{Path: dir, Volume: "v"}}, Timeout: time.Second}); f.Kind != Wrong {
			t.Errorf("%s: got %+v", name, f)
		}
	}
}

// The filesystem behind a mount can change without any change of the mount: only the sentinel tells.
func TestALostSentinelIsWrongWhileRunning(t *testing.T) {
	dir := tmpfs(t, "lost")
	if _, err := InitVolume(dir, "v1"); err != nil {
		t.Fatal(err)
	}
	w := watch(t, Config{Expect: []Expect{{Path: dir, Volume: "v1"}}})
	want(t, w, dir, OK)
	if err := os.Remove(filepath.Join(dir, probe.Sentinel)); err != nil {
		t.Fatal(err)
	}
	want(t, w, dir, Wrong)
	if _, err := w.ReadFile(t.Context(), filepath.Join(dir, "claim"), 100); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file on a wrong volume: %v", err)
	}
}

func TestReadFile(t *testing.T) {
	dir := tmpfs(t, "files")
	file := filepath.Join(dir, "claim file")
	text := strings.Repeat("claim ", 2000)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	w := watch(t, Config{Expect: []Expect{{Path: dir}}})
	got, err := w.ReadFile(t.Context(), file, len(text))
	if err != nil || string(got) != text {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	if _, err := w.ReadFile(t.Context(), file, len(text)-1); err == nil {
		t.Error("a file beyond the limit was read")
	}
	if _, err := w.ReadFile(t.Context(), filepath.Join(dir, "none"), 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := w.ReadFile(t.Context(), filepath.Join(dir, "out/hostname"), 1000); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link led out of the mount: %v", err)
	}
	if _, err := w.ReadFile(t.Context(), "/etc/hostname", 1000); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file on no watched mount: %v", err)
	}
	unmount(t, dir, unix.MNT_DETACH)
	var bad *MountError
	if _, err := w.ReadFile(t.Context(), file, 100); errors.Is(err, fs.ErrNotExist) || !errors.As(err, &bad) || bad.Finding.Kind != Absent {
		t.Errorf("after the unmount: %v", err)
	}
}

func TestReadFileOnABadMountIsNeverMissing(t *testing.T) {
	f := newFaultyFS(t)
	w := watch(t, Config{Expect: []Expect{{Path: f.dir}}, Timeout: 100 * time.Millisecond, Period: time.Hour})
	want(t, w, f.dir, OK)
	file := filepath.Join(f.dir, "claim")
	if _, err := w.ReadFile(t.Context(), file, 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing on a live mount: %v", err)
	}
	f.set(int64(unix.ESTALE))
	if _, err := w.ReadFile(t.Context(), file, 10); errors.Is(err, fs.ErrNotExist) || !errors.Is(err, unix.ESTALE) {
		t.Errorf("stale: %v", err)
	}
	f.set(modeHang)
	var bad *MountError
	if _, err := w.ReadFile(t.Context(), file, 10); !errors.As(err, &bad) || bad.Finding.Kind != Hung {
		t.Errorf("hung: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.ReadFile(ctx, file, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	f.set(modeOK)
}
