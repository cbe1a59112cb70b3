package device

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// crash leaves the image as a machine does that lost its power: a file synced, the journal not closed.
func (r *rig) crash(t testing.TB) {
	t.Helper()
	r.attached(t, func() {
		must(t, unix.Mount(r.dev, r.point, r.fstype, 0, ""))
		must(t, os.WriteFile(filepath.Join(r.point, "log"), []byte("before\n"), 0o644))
		run(t, "sync", filepath.Join(r.point, "log"))
		run(t, "cp", "--sparse=always", r.dev, r.image+".crashed")
		testkit.Unmount(t, r.point)
	})
	must(t, os.Rename(r.image+".crashed", r.image))
}

// A filesystem that was in use is replayed and repaired; nothing that was synced is missing, and what comes out
// is whole.
func TestDirty(t *testing.T) {
	t.Parallel()
	for _, fstype := range []string{"ext4", "xfs"} {
		t.Run(fstype, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, fstype)
			r.crash(t)
			if fstype == "ext4" {
				run(t, "debugfs", "-w", "-R", "set_super_value free_inodes_count 3", r.image)
			}
			a := r.start(t, "a")
			r.serving(t, a)
			if got := r.written(t); !strings.HasPrefix(got, "before\n") {
				t.Errorf("%q: what was synced is missing", got)
			}
			r.ends(t, a)
			if fstype == "ext4" {
				run(t, "e2fsck", "-f", "-n", r.image)
			} else {
				run(t, "xfs_repair", "-n", "-f", r.image)
			}
		})
	}
}

// What a repair without a person cannot do is refused, and left as it is.
func TestDamaged(t *testing.T) {
	t.Parallel()
	r := newRig(t, "ext4")
	run(t, "debugfs", "-w", "-R", "clri <2>", r.image)
	run(t, "debugfs", "-w", "-R", "set_super_value state 0", r.image)
	before := exec.Command("e2fsck", "-f", "-n", r.image)
	was, _ := before.CombinedOutput() // its status is that of a damaged one
	r.refused(t, 72, r.dev, "need a person")
	r.down(t)
	is, _ := exec.Command("e2fsck", "-f", "-n", r.image).CombinedOutput()
	if string(was) != string(is) {
		t.Errorf("something was changed:\n%s\n%s", was, is)
	}
}

// Errors that nobody knows of are found by verification alone, and refused without a byte changed.
func TestVerify(t *testing.T) {
	t.Parallel()
	r := newRig(t, "ext4")
	run(t, "debugfs", "-w", "-R", "clri <2>", r.image)
	before := r.sum(t)
	r.more = []string{"--device-verify", "--device-fsck", "never"}
	r.refused(t, 72, "cannot verify")
	r.down(t)
	if r.sum(t) != before {
		t.Error("the image was changed")
	}
}

// A repair of one's own, which refuses.
func TestFsckCommand(t *testing.T) {
	t.Parallel()
	r := newRig(t, "xfs")
	seen := filepath.Join(r.Dir, "seen")
	r.more = []string{"--device-fsck", "command", "--device-fsck-exec", list(t, []string{"sh", "-c", `echo "$1" > ` + seen + `; echo not today; exit 3`, "fsck"})}
	r.refused(t, 72, "not today")
	r.down(t)
	if b, err := os.ReadFile(seen); err != nil || strings.TrimSpace(string(b)) != r.dev {
		t.Errorf("the command was given %q, %v", b, err)
	}
}

// Another filesystem than the one that is wanted is not touched.
func TestWrongDevice(t *testing.T) {
	t.Parallel()
	r := newRig(t, "ext4")
	before := r.sum(t)
	right := r.uuid
	r.uuid = freshUUID(t)
	r.refused(t, 72, right, r.uuid, "it is another device")
	r.uuid, r.fstype = right, "xfs"
	r.refused(t, 72, `there is "ext4" on it, expected xfs`)
	r.down(t)
	if r.sum(t) != before {
		t.Error("the image was changed")
	}
}

// Who else uses the device, or the mountpoint, is left alone; the mountpoint is looked at before the queue.
func TestForeignUse(t *testing.T) {
	t.Parallel()
	r := newRig(t, "ext4")
	must(t, unix.Mount("other", r.point, "tmpfs", 0, "size=1m"))
	unasked(t, r.refused(t, 72, "other is mounted at "+r.point))
	testkit.Unmount(t, r.point)

	run(t, "losetup", r.dev, r.image)
	r.refused(t, 72, "it is attached, and not by us")
	if !testkit.Attached(t, r.dev) {
		t.Error("it was taken away from whoever had it")
	}
	run(t, "losetup", "-d", r.dev)
}

// The same filesystem through another device is not mounted a second time, which xfs alone would refuse.
func TestTwin(t *testing.T) {
	t.Parallel()
	for _, fstype := range []string{"ext4", "xfs"} {
		t.Run(fstype, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, fstype)
			other, elsewhere := testkit.FreeLoop(t), filepath.Join(r.Dir, "elsewhere")
			must(t, os.Mkdir(elsewhere, 0o755))
			run(t, "losetup", other, r.image)
			must(t, unix.Mount(other, elsewhere, fstype, 0, ""))
			r.refused(t, 72, r.uuid, "is mounted at "+elsewhere)
			testkit.Unmount(t, elsewhere)
			run(t, "losetup", "-d", other)
			r.down(t)
		})
	}
}

// Multiple-mount protection tells of a node that uses the filesystem where we cannot see it: here in another
// mount namespace, through another device. It is asked before anything is written.
func TestMultipleMountProtection(t *testing.T) {
	t.Parallel()
	r := newRig(t, "ext4", "-O", "mmp", "-E", "mmp_update_interval=1,lazy_itable_init=0,nodiscard")
	other, elsewhere := testkit.FreeLoop(t), filepath.Join(r.Dir, "elsewhere")
	must(t, os.Mkdir(elsewhere, 0o755))
	run(t, "losetup", other, r.image)
	// slave: a private copy of the mounts of the tests beside this one would hold their devices.
	node := testkit.Start(t, "unshare", "-m", "--propagation", "slave", "sh", "-c",
		"mount "+other+" "+elsewhere+" && echo mounted && exec sleep 1000")
	testkit.Wait(t, limit, func() (bool, string) {
		return strings.Contains(node.Stdout(t), "mounted"), "the other node has not mounted it"
	})
	r.more = []string{"--device-limits-repair", "1s", "--device-limits-mount", "1s"} // raised for it
	r.refused(t, 72, "multiple-mount protection says that it is in use")
	node.Signal(t, unix.SIGKILL)
	node.Wait(t, limit)
	run(t, "losetup", "-d", other)
	testkit.Wait(t, limit, func() (bool, string) { return !testkit.Attached(t, other), "the other node still has it" })
	if !testkit.Long() { // taking an unclean one over takes most of a minute
		return
	}
	a := r.start(t, "a")
	r.serving(t, a)
	r.ends(t, a)
}

// What cannot be is said before anything is done.
func TestMissing(t *testing.T) {
	t.Parallel()
	r := newRig(t, "ext4")
	attach := r.attach
	r.attach = []string{"no-such-tool", "x"}
	unasked(t, r.refused(t, 72, "there is no command no-such-tool"))
	r.attach = []string{"sh", "-c", "echo the pool is full >&2; exit 5"}
	r.refused(t, 72, "cannot attach "+r.dev, "exit status 5", "the pool is full")
	r.attach = []string{"true"}
	r.more = []string{"--device-limits-attach", "1s"}
	r.refused(t, 72, "the command succeeded, and "+r.dev+" is not attached")
	r.attach, r.more = attach, nil
	must(t, os.Rename(r.point, r.point+".real"))
	must(t, os.Symlink(r.point+".real", r.point))
	unasked(t, r.refused(t, 72, "no symbolic link"))
	must(t, os.Remove(r.point))
	must(t, os.Rename(r.point+".real", r.point))
	must(t, os.Symlink(r.Dir, r.Dir+"/link"))
	real := r.point
	r.point, r.Data = filepath.Join(r.Dir, "link", "mnt"), filepath.Join(r.Dir, "link", "mnt")
	r.refused(t, 72, "give the real path, "+real)
	r.point = real
	r.down(t)
}
