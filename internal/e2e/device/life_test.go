package device

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// Attached, checked, mounted, served from, and gone before the lock is: what was written is there for the next.
func TestLife(t *testing.T) {
	t.Parallel()
	for _, fstype := range []string{"ext4", "xfs"} {
		t.Run(fstype, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, fstype)
			r.more = []string{"--device-verify"}
			a := r.start(t, "a")
			r.serving(t, a)
			waitState(t, a, "up")
			code, out, errs := scene.Interlock(t, "status", "--listen", "unix:"+a.Socket())
			if code != 0 || !strings.Contains(out, r.dev+" on "+r.point+": up") {
				t.Errorf("status: %d, %s%s", code, out, errs)
			}
			if _, body, err := a.Get("/metrics"); err != nil || !strings.Contains(body, `interlock_device_state{state="up"} 1`) {
				t.Errorf("metrics (%v) do not say that the device is up", err)
			}
			r.ends(t, a)
			b := r.start(t, "b")
			r.serving(t, b)
			if got := r.written(t); len(strings.Fields(got)) != 2 {
				t.Errorf("%q: expected what both have written", got)
			}
			r.ends(t, b)
		})
	}
}

// The payload ends by itself, and runs as another user than root: its code is the run's.
func TestPayloadEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t, "ext4")
	a := r.start(t, "a", scene.Command("sh", "-c", "exit 7"))
	a.Expect(t, limit, 7)
	r.down(t)
	if p := r.RecordedPhase(t); p != "drained" {
		t.Errorf("the record says %q", p)
	}
}

// A dry run attaches nothing, and says what it would do.
func TestDryRun(t *testing.T) {
	t.Parallel()
	r := newRig(t, "ext4")
	args := append(append([]string{"run", "--dry-run", "--lock", r.Lock, "--data", r.Data}, r.flags(t)...), "--", "true")
	code, out, errs := scene.Interlock(t, args...)
	if code != 0 || !strings.Contains(out, "device   "+r.dev) {
		t.Errorf("%d: %s%s", code, out, errs)
	}
	r.down(t)
	if _, err := os.Stat(filepath.Join(r.Dir, "run")); !os.IsNotExist(err) {
		t.Errorf("the state directory was made: %v", err)
	}
	must(t, os.Remove(r.point))
	code, out, errs = scene.Interlock(t, args...)
	if code != 72 || !strings.Contains(errs, "make the directory") {
		t.Errorf("%d: %s%s", code, out, errs)
	}
	code, out, errs = scene.Interlock(t, append([]string{"doctor", "--lock", r.Lock, "--data", r.Data}, r.flags(t)...)...)
	if code != 72 || !strings.Contains(out, "fail") || !strings.Contains(out, "make the directory") {
		t.Errorf("doctor: %d: %s%s", code, out, errs)
	}
	must(t, os.Mkdir(r.point, 0o755))
	r.run = filepath.Join(r.Dir, "none", "run")
	r.refused(t, 72, "none does not exist: make it")
	code, out, errs = scene.Interlock(t, append([]string{"doctor", "--lock", r.Lock, "--data", r.Data}, r.flags(t)...)...)
	if code != 72 || !strings.Contains(out, "none does not exist: make it") {
		t.Errorf("doctor: %d: %s%s", code, out, errs)
	}
}

// The lock is lost while the payload serves: the payload dies and the device goes, without the lock's being ours
// to release.
func TestLockLost(t *testing.T) {
	t.Parallel()
	for _, fstype := range []string{"ext4", "xfs"} {
		t.Run(fstype, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, fstype)
			a := r.start(t, "a")
			r.serving(t, a)
			must(t, os.Remove(strings.TrimPrefix(r.Lock, "file://")))
			a.Expect(t, limit, 76)
			r.down(t)
			run(t, testkit.Binary(t), "lock", "init", "--lock", r.Lock)
			b := r.start(t, "b", scene.Flags("--token-epoch", "1"))
			r.serving(t, b)
			r.ends(t, b)
		})
	}
}
