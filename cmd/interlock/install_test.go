package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/testkit"
)

// TestInstall: the whole program, for every user to run, whatever the umask; once more over the first.
func TestInstall(t *testing.T) {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "interlock")
	if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	running, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	defer syscall.Umask(syscall.Umask(0o077))
	for range 2 {
		if code, stdout, stderr := try(nil, "install", dir); code != 0 || stdout != path+"\n" || stderr != "" {
			t.Fatalf("install: %d, %q, %q", code, stdout, stderr)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o755 {
			t.Fatalf("mode %v, %v: expected 0755", info.Mode(), err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, self) {
			t.Fatalf("%d bytes, %v: expected the %d of this program", len(got), err, len(self))
		}
	}
	onlyInstalled(t, dir)
	// Who runs or reads the file of before keeps it: it was replaced, not written to.
	var old [8]byte
	if n, _ := running.Read(old[:]); string(old[:n]) != "half" {
		t.Errorf("the file of before now reads %q", old[:n])
	}
}

func onlyInstalled(t *testing.T, dir string) {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("%v, %v in the directory: expected interlock alone", names, err)
	}
}

func TestInstallRefuses(t *testing.T) {
	taken := t.TempDir()
	if err := os.Mkdir(filepath.Join(taken, "interlock"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{nil, exit.Usage},
		{[]string{""}, exit.Usage},
		{[]string{taken, taken}, exit.Usage},
		{[]string{taken, "--", "x"}, exit.Usage},
		{[]string{filepath.Join(taken, "absent")}, exit.Restore},
		{[]string{file}, exit.Restore},
		{[]string{taken}, exit.Restore},
	} {
		code, stdout, stderr := try(nil, append([]string{"install"}, c.args...)...)
		if code != c.code || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("install %q: %d, %q, %q: expected %d and one line", c.args, code, stdout, stderr, c.code)
		}
	}
	onlyInstalled(t, taken)
}

// What an install that was killed left behind goes with the next one; what another is writing stays.
func TestInstallAfterAKill(t *testing.T) {
	dir := t.TempDir()
	left, busy := filepath.Join(dir, unfinished+"1"), filepath.Join(dir, unfinished+"2")
	for _, path := range []string{left, busy} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	other, err := os.Open(busy)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := try(nil, "install", dir); code != 0 || stderr != "" {
		t.Fatalf("install: %d, %q", code, stderr)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, expected that it is gone", left, err)
	}
	if _, err := os.Stat(busy); err != nil {
		t.Errorf("%v: expected that what is being written stays", err)
	}
}

// A place from which nothing can be run is said, for the volume may be mounted otherwise elsewhere.
func TestInstallNoexec(t *testing.T) {
	testkit.RequireRoot(t)
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_NOEXEC, "size=200m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	if code, _, stderr := try(nil, "install", dir); code != 0 || !strings.Contains(stderr, "noexec") {
		t.Errorf("install: %d, %q", code, stderr)
	}
}
