package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/mountcheck/probe"
	"github.com/interlock-run/interlock/restore"
)

// The file of a mount's identity is no data: neither for the look whether a directory is empty nor in a
// snapshot, whatever package mountcheck calls it.
func TestVolumeIDIsNoData(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, probe.Sentinel), []byte("id\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if l := restore.Inspect(dir, filepath.Join(t.TempDir(), "state"), 0); l.Dir != restore.DirEmpty {
		t.Errorf("%+v: expected it empty", l)
	}
	tree, err := fstree.Open(dir, fstree.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	for e, err := range tree.Walk() {
		if err != nil || e.Path != fstree.Root {
			t.Errorf("%q, %v: expected the root alone", e.Path, err)
		}
	}
}
