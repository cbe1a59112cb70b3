package mountcheck

import (
	"encoding/hex"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

const (
	ours   = "6b1b6b02-4f0b-4a53-9fb9-0d1d4e1c7a11"
	theirs = "6b1b6b02-4f0b-4a53-9fb9-0d1d4e1c7a12"
)

// TestUUID: of a filesystem on a device the kernel and the device itself are asked.
func TestUUID(t *testing.T) {
	for fs, make := range map[string][]string{
		"ext4":  {"mkfs.ext4", "-q", "-e", "remount-ro", "-O", "^has_journal,^metadata_csum", "-U", ours},
		"xfs":   {"mkfs.xfs", "-q", "-m", "uuid=" + ours},
		"btrfs": {"mkfs.btrfs", "-q", "-U", ours},
	} {
		t.Run(fs, func(t *testing.T) {
			dir, image := loopFS(t, "400M", make...)
			for uuid, want := range map[string]Kind{ours: OK, strings.ToUpper(ours): OK, theirs: Wrong} {
				if f := one(t, Config{Expect: []Expect{{Path: dir, UUID: uuid}}}); f.Kind != want {
					t.Errorf("%s: got %+v, want %s", uuid, f, want)
				}
			}
			if got := blkid(t, image); got != ours {
				t.Errorf("blkid -p says %s", got)
			}
			w := watch(t, Config{Expect: []Expect{{Path: dir, UUID: ours}}})
			want(t, w, dir, OK)
			at := map[string]int64{"ext4": 1024 + 104, "xfs": 32, "btrfs": 64<<10 + 32}[fs]
			overwrite(t, image, at, theirs)
			if f := want(t, w, dir, Wrong); !strings.Contains(f.Detail, theirs) {
				t.Errorf("got %+v", f)
			}
			overwrite(t, image, at, ours)
			want(t, w, dir, OK)
		})
	}
}

// TestUUIDOfNone: a filesystem without a device has the kernel's own, if any, and never the expected one.
func TestUUIDOfNone(t *testing.T) {
	if f := one(t, Config{Expect: []Expect{{Path: tmpfs(t, "a"), UUID: ours}}}); f.Kind != Wrong || f.Do == "" {
		t.Errorf("got %+v, want wrong", f)
	}
}

func TestJudgeUUID(t *testing.T) {
	for name, c := range map[string]struct {
		fstype, source string
		u              probe.UUIDs
		want           Kind
	}{
		"both":                     {"ext4", "/dev/a", probe.UUIDs{Mounted: ours, Device: ours, Opened: true}, OK},
		"another device":           {"ext4", "/dev/a", probe.UUIDs{Mounted: ours, Device: theirs, Opened: true}, Wrong},
		"another filesystem":       {"ext4", "/dev/a", probe.UUIDs{Mounted: theirs, Device: ours, Opened: true}, Wrong},
		"an empty device":          {"xfs", "/dev/a", probe.UUIDs{Mounted: ours, Opened: true}, Wrong},
		"a device not read here":   {"f2fs", "/dev/a", probe.UUIDs{Mounted: ours, Opened: true}, OK},
		"the node is not here":     {"ext4", "/dev/a", probe.UUIDs{Mounted: ours, DeviceErrno: uint32(unix.ENOENT)}, OK},
		"an old kernel, no node":   {"vfat", "/dev/a", probe.UUIDs{DeviceErrno: uint32(unix.EPERM)}, Unknown},
		"an old kernel, the node":  {"ext4", "/dev/a", probe.UUIDs{Device: ours, Opened: true}, OK},
		"the device does not read": {"ext4", "/dev/a", probe.UUIDs{Mounted: ours, Opened: true, DeviceErrno: uint32(unix.EIO)}, Erroring},
		"NFS":                      {"nfs4", "nas:/x", probe.UUIDs{DeviceErrno: uint32(unix.ENOENT)}, Wrong},
	} {
		x := &exam{want: Expect{Path: "/srv", UUID: ours}, fstype: c.fstype, source: c.source}
		if got := judgeUUID(x, c.u); got.Kind != c.want {
			t.Errorf("%s: got %+v, want %s", name, got, c.want)
		}
	}
	for s, want := range map[string]bool{ours: true, "ABCD-1234": true, "12": false, "": false, ours + "0": false, "g" + ours[1:]: false} {
		if got := ValidUUID(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

// loopFS mounts a new filesystem on a loop device.
func loopFS(t testing.TB, size string, mkfs ...string) (dir, image string) {
	t.Helper()
	needMounts(t)
	for _, tool := range []string{mkfs[0], "mount", "umount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: %v", tool, err)
		}
	}
	dir = directory(t, "fs")
	image = dir + ".img"
	command(t, "truncate", "-s", size, image)
	command(t, mkfs[0], append(mkfs[1:], image)...)
	if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		t.Skipf("no loop device here: %v: %s", err, out)
	}
	t.Cleanup(func() { unmount(t, dir, 0) })
	return dir, image
}

// blkid is what other programs take for the UUID.
func blkid(t *testing.T, image string) string {
	t.Helper()
	out, err := exec.Command("blkid", "-p", "-o", "value", "-s", "UUID", image).Output()
	if err != nil {
		t.Fatalf("blkid: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// overwrite puts another UUID into a superblock behind the back of the mounted filesystem.
func overwrite(t *testing.T, image string, at int64, uuid string) {
	t.Helper()
	raw, err := hex.DecodeString(plainUUID(uuid))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(image, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(raw, at); err != nil {
		t.Fatal(err)
	}
}
