package mounts

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/ordeal"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A disk is a filesystem on a loop device, for one row.
type disk struct {
	t          *testing.T
	image, dir string
	held       *os.File // its root: by a path nobody comes to what was unmounted
	frozen     bool
}

// newDisk makes and mounts one of so many MiB.
func newDisk(t *testing.T, fstype string, size int64, options string, mkfs ...string) *disk {
	t.Helper()
	testkit.RequireRoot(t)
	base := tmpfs(t, fmt.Sprintf("size=%dm", size)).dir // an image is sparse: this is thin storage
	d := &disk{t: t, image: filepath.Join(base, "image"), dir: filepath.Join(t.TempDir(), "mnt")}
	must(t, os.Mkdir(d.dir, 0o755))
	must(t, os.WriteFile(d.image, nil, 0o600))
	must(t, os.Truncate(d.image, size<<20))
	command(t, append(append([]string{"mkfs." + fstype, "-q"}, mkfs...), d.image)...)
	if out, err := exec.Command("mount", "-t", fstype, "-o", "loop"+options, d.image, d.dir).CombinedOutput(); err != nil {
		testkit.Skip(t, "loop", fmt.Sprintf("no loop device here: %v: %s", err, out))
	}
	t.Cleanup(d.gone)
	t.Cleanup(d.free)
	var err error
	d.held, err = os.Open(d.dir)
	must(t, err)
	return d
}

// tmpfs is one without a device.
func tmpfs(t *testing.T, options string) *disk {
	t.Helper()
	testkit.RequireRoot(t)
	d := &disk{t: t, dir: filepath.Join(t.TempDir(), "mnt")}
	must(t, os.Mkdir(d.dir, 0o755))
	must(t, unix.Mount("tmpfs", d.dir, "tmpfs", 0, options))
	t.Cleanup(d.free)
	var err error
	d.held, err = os.Open(d.dir)
	must(t, err)
	return d
}

func command(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", argv, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (d *disk) freeze() { command(d.t, "fsfreeze", "--freeze", d.dir); d.frozen = true }

func (d *disk) thaw() {
	if d.frozen {
		d.frozen = false
		command(d.t, "fsfreeze", "--unfreeze", d.dir)
	}
}

// free ends what waits in it, and takes every mount away that is there.
func (d *disk) free() {
	d.thaw()
	_ = d.held.Close() // it may have been
	for range 3 {
		if err := unix.Unmount(d.dir, unix.MNT_DETACH); err != nil {
			return
		}
	}
}

// gone waits until the loop device is: payloads beside this test may hold a copy of the mount.
func (d *disk) gone() {
	testkit.Wait(d.t, limit, func() (bool, string) {
		left := command(d.t, "losetup", "--noheadings", "--output", "NAME", "--associated", d.image)
		return left == "", "a loop device is left: " + left
	})
}

// fill takes all the space that everybody may have; spare gives it back.
func (d *disk) fill() { fill(d.t, d.dir) }

func fill(t testing.TB, dir string) {
	var st unix.Statfs_t
	must(t, unix.Statfs(dir, &st))
	f, err := os.Create(filepath.Join(dir, "fill"))
	must(t, err)
	for left := int64(st.Bavail) * st.Bsize; left >= 4096; left /= 2 { // what describes the blocks takes some, too
		for err == nil {
			var now int64
			if now, err = f.Seek(0, 2); err == nil {
				err = unix.Fallocate(int(f.Fd()), 0, now, left)
			}
			if err == nil {
				_, err = f.Seek(left, 1)
			}
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
	must(t, f.Close())
}

func (d *disk) spare() { must(d.t, os.Remove(filepath.Join(d.dir, "fill"))) }

// crowd takes all the inodes.
func (d *disk) crowd() {
	must(d.t, os.Mkdir(filepath.Join(d.dir, "crowd"), 0o755))
	var err error
	for i := 0; err == nil && i < 1<<16; i++ {
		err = os.WriteFile(filepath.Join(d.dir, "crowd", fmt.Sprint(i)), nil, 0o600)
	}
	if !errors.Is(err, unix.ENOSPC) {
		d.t.Fatal(err)
	}
}

func (d *disk) scatter() { must(d.t, os.RemoveAll(filepath.Join(d.dir, "crowd"))) }

// shutdown is what ext4 and xfs do by themselves when nothing can be saved any more.
func (d *disk) shutdown() {
	const goingDown, withoutLog = 0x8004587d, 2
	how := uint32(withoutLog)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, d.held.Fd(), goingDown, uintptr(unsafe.Pointer(&how))); e != 0 {
		d.t.Fatal(e)
	}
}

// starve takes the space that the image lies on, and what it has there: as thin storage that is overbooked.
func (d *disk) starve() {
	image, err := os.OpenFile(d.image, os.O_WRONLY, 0)
	must(d.t, err)
	must(d.t, unix.Fallocate(int(image.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 1<<32))
	must(d.t, image.Close())
	fill(d.t, filepath.Dir(d.image))
}

func (d *disk) loop() string {
	return command(d.t, "losetup", "--noheadings", "--output", "NAME", "--associated", d.image)
}

func (d *disk) unmount() { must(d.t, unix.Unmount(d.dir, unix.MNT_DETACH)) }

func (d *disk) cover() { must(d.t, unix.Mount("over", d.dir, "tmpfs", 0, "size=1m")) }

// of is the case of one of its faults. What arrives is read in the filesystem itself.
func (d *disk) of(fs string) ordeal.Case {
	return ordeal.Case{Filesystem: fs, Mount: d.dir, Free: d.free, Arrived: func() string {
		fd, err := unix.Openat(int(d.held.Fd()), "data/file", unix.O_RDONLY|unix.O_NOATIME, 0)
		if err != nil {
			return err.Error()
		}
		defer unix.Close(fd)
		var text [32]byte
		n, err := unix.Pread(fd, text[:], 0)
		return fmt.Sprint(string(text[:max(n, 0)]), err)
	}}
}
