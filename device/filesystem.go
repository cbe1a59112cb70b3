package device

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// identify asks the device itself, not a cache, what is on it.
func (w *work) identify(ctx context.Context) error {
	// blkid does not tell a device that is missing from one that is empty.
	if err := readable(w.Path); err != nil {
		return err
	}
	said, err := output(ctx, []string{"blkid", "-p", "-o", "export", w.Path})
	if err != nil {
		return fmt.Errorf("there is no filesystem on it, or more than one: expected %s: %w", w.FSType, err)
	}
	found := map[string]string{}
	for line := range strings.Lines(said) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		found[key] = value
	}
	if found["TYPE"] != w.FSType {
		return fmt.Errorf("there is %q on it, expected %s", found["TYPE"], w.FSType)
	}
	if w.UUID != "" && !strings.EqualFold(found["UUID"], w.UUID) {
		return fmt.Errorf("its filesystem has UUID %s, expected %s: it is another device", found["UUID"], w.UUID)
	}
	return nil
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err == nil && st.Mode()&fs.ModeDevice == 0 {
		err = fmt.Errorf("%s is no device", path)
	}
	return errors.Join(err, f.Close())
}

// unused tests beforehand what e2fsck would only answer by one exit status for all: mounted anywhere that
// is seen here, held by another device, or claimed by somebody.
func (w *work) unused(context.Context) error {
	points, err := w.mountedAt()
	if err != nil {
		return err
	}
	if len(points) > 0 {
		return fmt.Errorf("it is mounted at %s, expected nowhere", strings.Join(points, ", "))
	}
	holders, err := os.ReadDir(filepath.Join("/sys/class/block", filepath.Base(w.Path), "holders"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(holders) > 0 {
		return fmt.Errorf("device %s stands on it", holders[0].Name())
	}
	fd, err := unix.Open(w.Path, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EBUSY) {
		return errors.New("somebody has claimed it: mounted in another namespace, or in use by a tool")
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: w.Path, Err: err}
	}
	return unix.Close(fd)
}

// verify finds what a repair without a person left, or never looked at. An xfs is mounted once before,
// which replays its log: xfs_repair cannot, and would have to throw it away.
func (w *work) verify(ctx context.Context) error {
	if !w.Verify {
		return nil
	}
	if w.FSType == "ext4" {
		return command(ctx, []string{"e2fsck", "-f", "-n", w.Path})
	}
	if err := w.mount(ctx); err != nil {
		return err
	}
	if err := w.unmount(ctx); err != nil {
		return err
	}
	return command(ctx, []string{"xfs_repair", "-n", w.Path})
}

// repair does what is safe without a person: replay, and what e2fsck calls preening.
func (w *work) repair(ctx context.Context) error {
	if w.FSType == "xfs" {
		return nil // its log is replayed by the mount
	}
	err := command(ctx, []string{"e2fsck", "-p", w.Path})
	var f *failure
	if !errors.As(err, &f) {
		return err
	}
	switch {
	case f.code == 1:
		return nil // all errors were corrected
	case f.code&4 != 0:
		return fmt.Errorf("%w: errors are left that need a person: run e2fsck by hand", f)
	case f.code == 8:
		return fmt.Errorf("%w: it cannot be read, or its multiple-mount protection sees another node using it", f)
	}
	return f
}

func (w *work) mount(ctx context.Context) error {
	args := []string{"mount", "-t", w.FSType}
	if w.Options != "" {
		args = append(args, "-o", w.Options)
	}
	return command(ctx, append(args, w.Path, w.Point))
}

// mounted tells whether the device is mounted at the mountpoint; isOurs is the same as a demand.
func (w *work) mounted() (bool, error) {
	number, err := numberOf(w.Path)
	if err != nil {
		return false, err
	}
	top, err := at(w.Point)
	return top != nil && err == nil && [2]int{top.Major, top.Minor} == number && top.Root == "/", err
}

func (w *work) isOurs(context.Context) error {
	if ours, err := w.mounted(); !ours || err != nil {
		return errors.Join(fmt.Errorf("what is mounted at %s is not it", w.Point), err)
	}
	return nil
}

// unmount takes away the mount of the device, never another one in its place.
func (w *work) unmount(ctx context.Context) error {
	if now, err := w.mark(); err != nil || now == "" {
		return err
	}
	ours, err := w.mounted()
	if err != nil || !ours {
		return err
	}
	// The options keep umount from asking the filesystem anything that could hang before the call itself.
	return command(ctx, []string{"umount", "--no-canonicalize", "--internal-only", w.Point})
}

func (w *work) mountedAt() (points []string, err error) {
	number, err := numberOf(w.Path)
	if err != nil {
		return nil, err
	}
	infos, err := table()
	for _, i := range infos {
		if [2]int{i.Major, i.Minor} == number {
			points = append(points, i.Mountpoint)
		}
	}
	return points, err
}

// at is the last mount at a path; nil: none.
func at(point string) (top *mountinfo.Info, err error) {
	infos, err := table()
	for _, i := range infos {
		if i.Mountpoint == point {
			top = i
		}
	}
	return top, err
}

func table() ([]*mountinfo.Info, error) {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return mountinfo.GetMountsFromReader(bytes.NewReader(raw), nil)
}

func numberOf(path string) (number [2]int, err error) {
	raw, err := os.ReadFile(filepath.Join("/sys/class/block", filepath.Base(path), "dev"))
	if err != nil {
		return number, err
	}
	_, err = fmt.Sscanf(string(raw), "%d:%d", &number[0], &number[1])
	return number, err
}
