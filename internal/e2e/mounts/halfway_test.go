package mounts

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// An umount that hangs in its last sync has taken the mount out of sight already, and killing it changes
// nothing: the path is the directory below, which looks as it should. Nothing is started on it.
func TestUmountKilledHalfway(t *testing.T) {
	t.Parallel()
	e := newExport(t)
	must(t, os.Mkdir(filepath.Join(e.dir, "data"), 0o777))
	must(t, os.WriteFile(filepath.Join(e.dir, "data", "dirty"), make([]byte, 1<<20), 0o666))
	must(t, e.held.Close()) // the last user of the filesystem is umount
	e.server.Signal(t, syscall.SIGSTOP)
	umount := testkit.Start(t, "umount", e.dir)
	t.Cleanup(e.free)
	testkit.Wait(t, limit, func() (bool, string) { return !mounted(e.dir), "still mounted" })
	umount.Signal(t, syscall.SIGKILL)
	if left := e.loop(); left == "" {
		t.Fatal("the filesystem is gone: umount did not hang, so the test has lost its sense")
	}
	must(t, os.Mkdir(filepath.Join(e.dir, "data"), 0o777))
	s := scene.New(t)
	s.Data = filepath.Join(e.dir, "data")
	s.Run(t, "a", scene.Flags("--mount", e.dir+",fstype=ext4")).Expect(t, limit, 72)
	if n := s.Count(t, "begin"); n != 0 {
		t.Errorf("%d payloads were started", n)
	}
	for _, dir := range []string{e.dir, s.Data} {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 1 || len(left) == 1 && left[0].Name() != "data" {
			t.Errorf("in the directory %s: %v, %v", dir, left, err)
		}
	}
	e.server.Signal(t, syscall.SIGCONT)
	umount.Wait(t, limit)
	e.repair()
}
