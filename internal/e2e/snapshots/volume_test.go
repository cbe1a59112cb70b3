package snapshots

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// TestRestoreIntoAVolume: what lies beside a mount point is another container's next time. The account lies on the
// volume, an interrupted restore goes on, and in the end nothing of ours is left there.
func TestRestoreIntoAVolume(t *testing.T) {
	testkit.RequireRoot(t)
	p := inDirectory(t)
	p.ok(t, "store", "init")
	data := tree(t, filepath.Join(p.home, "data"))
	p.ok(t, "backup", "--data", data)
	id := p.list(t)[0].ID
	p.ok(t, "backup", "--", "echo", "hello")
	volume := filepath.Join(p.home, "volume")
	must(t, os.Mkdir(volume, 0o755))
	must(t, unix.Mount("tmpfs", volume, "tmpfs", 0, "size=32m"))
	t.Cleanup(func() { testkit.Unmount(t, volume) })

	p.ok(t, "restore", "--to", volume, "--at", id, "--dry-run")
	write(t, filepath.Join(volume, "other"), nil)
	p.ends(t, 73, "is not empty", "restore", "--to", volume)
	must(t, os.Remove(filepath.Join(volume, "other")))
	if left, err := os.ReadDir(volume); err != nil || len(left) != 0 {
		t.Errorf("a refusal left %v %v", left, err)
	}
	p.ends(t, 73, "did not end", "restore", "--to", volume, "--", "sh", "-c", "cat > "+volume+"/half; exit 1")
	if _, err := os.Stat(filepath.Join(volume, ".interlock", "restore-to", "restore.json")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(p.home, ".volume.interlock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("beside the volume: %v", err)
	}
	p.ok(t, "restore", "--to", volume, "--at", id, "--verify")
	if left, err := os.ReadDir(volume); err != nil || len(left) != 2 {
		t.Errorf("on the volume: %v %v", left, err)
	}
	same(t, data, volume)
}
