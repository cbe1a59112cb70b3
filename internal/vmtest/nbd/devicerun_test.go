//go:build vm

package nbd

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/ordeal"
	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/vmtest"
)

// filled puts a filesystem into the image, with the volume's id and the data directory.
func (e *export) filled() {
	t := e.t
	t.Helper()
	tree := t.TempDir()
	must(t, os.Mkdir(filepath.Join(tree, "data"), 0o777))
	volume := filepath.Join(tree, ".interlock-volume")
	must(t, os.WriteFile(volume, []byte("v1\n"), 0o644))
	if e.fstype == "ext4" {
		vmtest.Run(t, append(e.mkfs(), "-d", tree, e.image)...)
		return
	}
	proto := filepath.Join(t.TempDir(), "proto") // mkfs.xfs(8)
	must(t, os.WriteFile(proto, []byte("/none\n0 0\nd--755 0 0\n.interlock-volume ---644 0 0 "+volume+"\ndata d--777 0 0\n$\n$\n"), 0o644))
	vmtest.Run(t, append(e.mkfs(), "-p", proto, e.image)...)
}

// flags are those of a run that attaches and mounts it by itself.
func (e *export) flags(device, dir string) []string {
	return []string{"--device-attach-nbd", fmt.Sprintf("%s:%d", vmtest.ServerAddr, port), "--device-attach-dev", device, "--device-attach-timeout", "2s",
		"--device-fstype", e.fstype,
		"--device-mount-path", dir, "--device-state-dir", filepath.Join(filepath.Dir(dir), "state"), "--device-limits-detach", "10s"}
}

// Each fault of the server, below a run that brings the device up and takes it down by itself. At the end
// of each nothing is mounted or attached.
func TestRunDevice(t *testing.T) {
	cut, whole := func(e *export) { e.Cut() }, func(e *export) { e.Join() }
	for _, c := range []struct {
		fstype, fault string
		begin, heal   func(*export)
		flags         []string
	}{
		{"ext4", "server killed", (*export).kill, (*export).start, nil},
		{"ext4", "server stopped", (*export).stop, (*export).goOn, nil},
		{"ext4", "network cut", cut, whole, nil},
		{"ext4", "network cut, `on_undrained: release`", cut, whole, []string{"--on-undrained", "release", "--budgets-drain", "3s"}},
		{"xfs", "server killed", (*export).kill, (*export).start, nil},
		{"xfs", "network cut", cut, whole, nil},
	} {
		t.Run(c.fstype+" "+strings.ReplaceAll(c.fault, "`", ""), func(t *testing.T) {
			e := newExport(t)
			e.fstype = c.fstype
			e.filled()
			dir := filepath.Join(t.TempDir(), "mnt")
			must(t, os.Mkdir(dir, 0o755))
			t.Cleanup(func() { e.detach(dir) })
			ordeal.Run(t, ordeal.Case{
				Filesystem: c.fstype + " on NBD by `device`, timeout 2 s (VM)", Fault: c.fault, Mount: dir, Prepared: true,
				Expect: ",fstype=" + c.fstype + ",source=" + node + ",volume=v1", Flags: append(e.flags(node, dir), c.flags...),
				Break: func() { c.begin(e) }, Heal: func() { c.heal(e) }, Findings: []string{"erroring", "readonly"}, Arrived: e.changed,
			})
			if attached() {
				t.Error("still attached")
			}
		})
	}
}

// One node only: the server's limit keeps a second run out, of which no lock does, until the first has let go.
func TestRunSecondNode(t *testing.T) {
	e := newExport(t)
	e.filled()
	run := func(name, device, lock string) *scene.Job {
		dir := filepath.Join(t.TempDir(), "mnt")
		must(t, os.Mkdir(dir, 0o755))
		t.Cleanup(func() { e.detach(dir) })
		s := scene.New(t)
		s.Lock = cmp.Or(lock, s.Lock)
		s.Data, s.Timing = filepath.Join(dir, "data"), ordeal.Timing()
		if lock == "" {
			scene.Interlock(t, "lock", "init", "--lock", s.Lock) // so that nobody waits for who may have been there
		}
		return s.Run(t, name, scene.Flags(e.flags(device, dir)...), s.Payload(t, "-tick", "200ms"))
	}
	lock := "file://" + filepath.Join(t.TempDir(), "lock")
	scene.Interlock(t, "lock", "init", "--lock", lock)
	first := run("first", "/dev/nbd0", lock)
	first.WaitPhase(t, vmtest.Limit, "serving")
	t.Log(run("second", "/dev/nbd1", "").Expect(t, vmtest.Limit, 72))
	if st, err := first.Status(); err != nil || st.Phase != "serving" {
		t.Errorf("the first one is %s, %v", st.Phase, err)
	}
	first.Signal(t, unix.SIGTERM)
	first.Expect(t, vmtest.Limit, 0)
	third := run("third", "/dev/nbd1", lock)
	third.WaitPhase(t, vmtest.Limit, "serving")
	third.Signal(t, unix.SIGTERM)
	third.Expect(t, vmtest.Limit, 0)
}
