package mounts

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// export is an ext4 on an NBD server's image, attached without the kernel's driver: nbdfuse shows the export
// as a file, on which a loop device lies.
type export struct {
	*disk
	server  *testkit.Process
	stored  string // the server's image
	failing string // while this file is there, writes fail with ENOSPC
}

func newExport(t *testing.T) *export {
	t.Helper()
	testkit.RequireRoot(t)
	for _, tool := range []string{"nbdkit", "nbdfuse"} {
		if _, err := exec.LookPath(tool); err != nil {
			testkit.Skip(t, tool, tool+" is not installed (Debian: nbdkit, libnbd-bin)")
		}
	}
	base := testkit.PublicDir(t) // a socket's name is short
	shared(t, base)
	e := &export{stored: filepath.Join(base, "stored"), failing: filepath.Join(base, "failing")}
	socket, files := filepath.Join(base, "socket"), filepath.Join(base, "files")
	e.disk = &disk{t: t, image: filepath.Join(files, "nbd"), dir: filepath.Join(base, "mnt")}
	must(t, errors.Join(os.Mkdir(files, 0o755), os.Mkdir(e.dir, 0o755), os.WriteFile(e.stored, nil, 0o600), os.Truncate(e.stored, 32<<20)))
	command(t, "mkfs.ext4", "-q", "-e", "remount-ro", "-E", "lazy_itable_init=0", e.stored)
	e.server = testkit.Start(t, "nbdkit", "-f", "-U", socket, "--filter=error", "file", e.stored,
		"error-pwrite=ENOSPC", "error-pwrite-rate=100%", "error-pwrite-file="+e.failing)
	exists := func(path string) func() (bool, string) {
		return func() (bool, string) { _, err := os.Stat(path); return err == nil, path + " is not there" }
	}
	testkit.Wait(t, limit, exists(socket))
	testkit.Start(t, "nbdfuse", files, "--unix", socket)
	t.Cleanup(e.free)
	testkit.Wait(t, limit, exists(e.image))
	if out, err := exec.Command("mount", "-t", "ext4", "-o", "loop", e.image, e.dir).CombinedOutput(); err != nil {
		testkit.Skip(t, "loop", "no loop device here: "+string(out))
	}
	var err error
	e.held, err = os.Open(e.dir)
	must(t, err)
	return e
}

// shared lets an unmount below reach the copies that payloads of tests beside this one have of every mount: while one
// of them has the filesystem, nobody's unmount is its last.
func shared(t *testing.T, dir string) {
	t.Helper()
	must(t, unix.Mount(dir, dir, "", unix.MS_BIND, ""))
	must(t, unix.Mount("", dir, "", unix.MS_SHARED, ""))
	t.Cleanup(func() { testkit.Unmount(t, dir) })
}

// free breaks the connection to nbdfuse: what waits in the filesystem waits there.
func (e *export) free() {
	e.disk.free()
	files := filepath.Dir(e.image)
	for range 3 {
		if !mounted(files) {
			return
		}
		_ = unix.Unmount(files, unix.MNT_FORCE) // the first one breaks, and finds it busy
	}
	_ = unix.Unmount(files, unix.MNT_DETACH) // most often there is nothing left
}

// TestFaultsOfNBD: what the server's image holds in the end is a filesystem that can be repaired.
func TestFaultsOfNBD(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		begin, heal func(*export)
		row
	}{
		"killed": {func(e *export) { e.server.Signal(e.t, syscall.SIGKILL) }, nil, row{"the server is killed, and nbdfuse with it", "readonly|erroring", true, false, ""}},
		"stopped": {func(e *export) { e.server.Signal(e.t, syscall.SIGSTOP) }, func(e *export) { e.server.Signal(e.t, syscall.SIGCONT) },
			row{"the server is stopped", "hung", false, false, ""}},
		"ENOSPC": {func(e *export) { must(e.t, os.WriteFile(e.failing, nil, 0o600)) }, func(e *export) { must(e.t, os.Remove(e.failing)) },
			row{"the server answers ENOSPC to writes", "readonly|erroring", false, false, ""}},
	} {
		if !c.wanted() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newExport(t)
			x := e.of("ext4 on NBD (nbdkit, nbdfuse, loop)")
			x.Arrived, x.Free = e.changed, e.free
			x.Break = func() { c.begin(e) }
			if c.heal != nil {
				x.Heal = func() { c.heal(e) }
			}
			c.play(t, x)
			e.repair()
		})
	}
}

// changed tells what the server last did to its image.
func (e *export) changed() string {
	st, err := os.Stat(e.stored)
	must(e.t, err)
	return st.ModTime().String()
}

// repair: e2fsck finds nothing that it cannot put right by itself.
func (e *export) repair() {
	e.free()
	e.gone()
	out, err := exec.Command("e2fsck", "-fp", e.stored).CombinedOutput()
	var status *exec.ExitError
	if err != nil && !(errors.As(err, &status) && status.ExitCode() == 1) {
		e.t.Errorf("e2fsck: %v: %s", err, out)
	}
}
