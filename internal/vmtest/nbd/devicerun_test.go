//go:build vm

package nbd

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/ordeal"
	"github.com/interlock-run/interlock/internal/vmtest"
)

// filled puts a filesystem into the image, with the volume's id and the data directory.
func (e *export) filled() {
	t := e.t
	t.Helper()
	tree := t.TempDir()
	must(t, os.Mkdir(filepath.Join(tree, "data"), 0o777))
	must(t, os.WriteFile(filepath.Join(tree, ".interlock-volume"), []byte("v1\n"), 0o644))
	vmtest.Run(t, "mkfs.ext4", "-q", "-e", "remount-ro", "-E", "lazy_itable_init=0,nodiscard", "-d", tree, e.image)
}

// flags are those of a run that attaches and mounts it by itself.
func (e *export) flags(dir string) []string {
	return []string{"--device-attach-nbd", fmt.Sprintf("%s:%d", vmtest.ServerAddr, port), "--device-attach-dev", node, "--device-attach-timeout", "2s",
		"--device-mount-path", dir, "--device-state-dir", filepath.Join(filepath.Dir(dir), "state"), "--device-limits-detach", "10s"}
}

// Each fault of the server, below a run that brings the device up and takes it down by itself. At the end
// of each nothing is mounted or attached.
func TestRunDevice(t *testing.T) {
	for _, c := range []struct {
		fault       string
		begin, heal func(*export)
	}{
		{"server killed", (*export).kill, (*export).start},
		{"server stopped", (*export).stop, (*export).goOn},
		{"network cut", func(e *export) { e.Cut() }, func(e *export) { e.Join() }},
	} {
		t.Run(c.fault, func(t *testing.T) {
			e := newExport(t)
			e.filled()
			dir := filepath.Join(t.TempDir(), "mnt")
			must(t, os.Mkdir(dir, 0o755))
			t.Cleanup(func() { e.detach(dir) })
			ordeal.Run(t, ordeal.Case{
				Filesystem: "ext4 on NBD by `device`, timeout 2 s (VM)", Fault: c.fault, Mount: dir, Prepared: true,
				Expect: ",fstype=ext4,source=" + node + ",volume=v1", Flags: e.flags(dir),
				Break: func() { c.begin(e) }, Heal: func() { c.heal(e) }, Findings: []string{"erroring", "readonly"}, Arrived: e.changed,
			})
			if attached() {
				t.Error("still attached")
			}
		})
	}
}
