package storage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// Data that has filled its disk is backed up like other data, though the state directory lies beside it.
func TestBackupOfAFullDisk(t *testing.T) {
	t.Parallel()
	s, point := mounted(t)
	store, temp := mkdir(t, s.Dir, "store"), mkdir(t, s.Dir, "temp")
	init := testkit.Start(t, testkit.Binary(t), "store", "init", "--store", "file://"+store)
	if code := init.Wait(t, limit); code != 0 {
		t.Fatalf("store init: %d: %s", code, init.Stderr(t))
	}
	a := s.Run(t, "a", scene.Command("sleep", "1000"), scene.Env("TMPDIR="+temp),
		scene.Flags("--mount", point, "--store", "file://"+store, "--backup-on-stop=true"))
	a.Serving(t)
	fillUp(t, filepath.Join(s.Data, "fill"))
	a.Stop(t)
	if found, err := filepath.Glob(filepath.Join(store, "snap", "*", "manifest.zst")); err != nil || len(found) != 1 {
		t.Errorf("%q are in the store (%v): expected the snapshot of the stop: %s", found, err, a.Stderr(t))
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("%v are left in the temporary directory (%v)", left, err)
	}
}

// fillUp writes until nothing goes in any more.
func fillUp(t testing.TB, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	block := []byte(strings.Repeat("x", 4096))
	for err == nil {
		_, err = f.Write(block)
	}
	var cause *fs.PathError
	if !errors.As(err, &cause) || !errors.Is(cause, unix.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
