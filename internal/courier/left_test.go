package courier

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/tempdir"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A full state directory has its stand-in, which goes with the courier; what a killed one left there goes with the next
// backup, and that of one that is at work stays.
func TestStandIn(t *testing.T) {
	testkit.RequireRoot(t)
	p := newPlace(t)
	p.repository()
	p.write("f", "x")
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	busy, err := tempdir.Make("", scratchPrefix)
	must(t, err)
	dead := filepath.Join(temporary, scratchPrefix+"dead")
	must(t, errors.Join(os.Mkdir(dead, 0o700), os.WriteFile(filepath.Join(dead, ".lock"), nil, 0o600), os.WriteFile(filepath.Join(dead, "manifest"), []byte("x"), 0o600)))
	state := filepath.Join(p.dir, "state")
	must(t, unix.Mount("full", state, "tmpfs", 0, "size=4k,nr_inodes=2"))
	t.Cleanup(func() { testkit.Unmount(t, state) })
	p.well(p.request(OpBackup, 1))
	if !strings.Contains(p.said.String(), "begins anew") {
		t.Errorf("the state directory was not full: %s", p.said.String())
	}
	found, err := os.ReadDir(temporary)
	if err != nil || len(found) != 1 || found[0].Name() != filepath.Base(busy.Path) {
		t.Errorf("left are %v (%v), want %s alone", found, err, busy.Path)
	}
	must(t, busy.Remove())
}
