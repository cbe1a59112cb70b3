package device

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// identify asks the device itself, not a cache, what is on it.
func (w *work) identify(ctx context.Context) error {
	// Neither blkid nor e2fsck tells a device that is missing, or that cannot be read, from one that is empty.
	var begin []byte
	if err := within(ctx, func() (err error) { begin, err = readBegin(w.Path); return err }); err != nil {
		return err
	}
	found, err := w.probe(ctx, w.Path)
	if err != nil {
		return fmt.Errorf("there is no filesystem on it, or more than one: expected %s: %w", w.FSType, err)
	}
	if found["TYPE"] != w.FSType {
		return fmt.Errorf("there is %q on it, expected %s", found["TYPE"], w.FSType)
	}
	if w.UUID != "" && !strings.EqualFold(found["UUID"], w.UUID) {
		return fmt.Errorf("its filesystem has UUID %s, expected %s: it is another device", found["UUID"], w.UUID)
	}
	w.uuid = found["UUID"]
	if w.FSType == "ext4" {
		w.mmp, w.unreplayed = incompatible(begin, incompatMMP), incompatible(begin, incompatRecover)
	}
	return nil
}

// probe is blkid's low-level answer about one device.
func (w *work) probe(ctx context.Context, path string) (map[string]string, error) {
	said, err := w.output(ctx, []string{"blkid", "-p", "-o", "export", path})
	found := map[string]string{}
	for line := range strings.Lines(said) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		found[key] = value
	}
	return found, err
}

// readBegin reads the first block, past the cache.
func readBegin(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && st.Mode()&fs.ModeDevice == 0 {
		err = fmt.Errorf("%s is no device", path)
	}
	block := aligned()
	if err == nil {
		_, err = f.ReadAt(block, 0)
	}
	return block, errors.Join(err, f.Close())
}

// Where an ext4 superblock says what must be understood to mount it, and the bits of a journal that is to be
// replayed and of multiple-mount protection.
const (
	incompatAt      = 1024 + 0x60
	incompatRecover = 0x4
	incompatMMP     = 0x100
)

func incompatible(begin []byte, bit uint32) bool {
	return binary.LittleEndian.Uint32(begin[incompatAt:])&bit != 0
}

// replayed mounts an xfs once, which replays its log: xfs_repair cannot, and would have to throw it away.
func (w *work) replayed(ctx context.Context) error {
	if err := w.mount(ctx); err != nil {
		return err
	}
	return w.release(ctx)
}

func (w *work) verified() (bool, error) {
	if !w.Check.Verify {
		return true, nil
	}
	return w.mountedNow()
}

// verify finds what a repair without a person left, or never looked at.
func (w *work) verify(ctx context.Context) error {
	if w.FSType == "ext4" {
		return w.verifyExt4(ctx)
	}
	if err := w.replayed(ctx); err != nil {
		return err
	}
	return w.command(ctx, []string{"xfs_repair", "-n", w.Path})
}

// verifyExt4 replays the journal where no repair has: without what stands in it alone all would look damaged.
func (w *work) verifyExt4(ctx context.Context) error {
	if w.unreplayed && (w.Check.Never || len(w.Check.Command) > 0) {
		if err := w.command(ctx, []string{"e2fsck", "-p", "-E", "journal_only", w.Path}); err != nil {
			return err
		}
	}
	return w.command(ctx, []string{"e2fsck", "-f", "-n", w.Path})
}

// repair does what is safe without a person: replay, and what e2fsck calls preening.
func (w *work) repair(ctx context.Context) error {
	switch {
	case len(w.Check.Command) > 0:
		return w.command(ctx, append(w.Check.Command[:len(w.Check.Command):len(w.Check.Command)], w.Path))
	case w.FSType == "xfs" || w.Check.Never:
		return nil // the mount replays the log
	}
	err := w.command(ctx, []string{"e2fsck", "-p", w.Path})
	var f *failure
	if !errors.As(err, &f) {
		return err
	}
	switch {
	case f.code == 1:
		return nil // all errors were corrected
	case f.code&4 != 0:
		return fmt.Errorf("%w: errors are left that need a person: run e2fsck by hand", f)
	case f.code == 8 && w.mmp:
		return fmt.Errorf("%w: it cannot be read, or its multiple-mount protection sees another node using it", f)
	case f.code == 8:
		return fmt.Errorf("%w: it cannot be read to the end", f)
	}
	return f
}

func (w *work) mount(ctx context.Context) error {
	args := []string{"mount", "-t", w.FSType}
	if w.Options != "" {
		args = append(args, "-o", w.Options)
	}
	return w.command(ctx, append(args, w.Path, w.Point))
}

func (w *work) isOurs(context.Context) error {
	if ours, err := w.mountedNow(); !ours || err != nil {
		return errors.Join(fmt.Errorf("what is mounted at %s is not it", w.Point), err)
	}
	return nil
}

// unmount syncs first, because that tells of errors where an unmount keeps them to itself.
func (w *work) unmount(ctx context.Context) error {
	mounted, err := w.mountedNow()
	if err != nil {
		return err
	}
	w.rest.Synced = true
	if mounted {
		half, cancel := context.WithTimeoutCause(ctx, w.Limits.Detach/2, fmt.Errorf("not done within %v", w.Limits.Detach/2))
		w.rest.Synced = within(half, func() error { return syncAt(w.Point) }) == nil
		cancel()
	}
	return w.release(ctx)
}

// release takes away the mount of the device, never another one in its place.
func (w *work) release(ctx context.Context) error {
	mounted, err := w.mountedNow()
	if err != nil || !mounted {
		return err
	}
	point("umount", "before")
	err = within(ctx, func() error { return unix.Unmount(w.Point, unix.UMOUNT_NOFOLLOW) })
	point("umount", "after")
	if errors.Is(err, unix.EBUSY) {
		err = fmt.Errorf("%s is in use: %w: see fuser -vm %s for who uses it", w.Point, err, w.Point)
	}
	return err
}

func syncAt(dir string) error { return atRoot(dir, unix.Syncfs) }

// The request of ext4 and xfs to end all that they write, and not to write what is under way.
const (
	goingDown  = 0x8004587d // EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN
	noLogFlush = 2
)

func (w *work) shutdown(ctx context.Context) error {
	return within(ctx, func() error {
		return atRoot(w.Point, func(fd int) error { return unix.IoctlSetPointerInt(fd, goingDown, noLogFlush) })
	})
}

// atRoot does something with a descriptor of a mount's root.
func atRoot(dir string, do func(fd int) error) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return errors.Join(do(fd), unix.Close(fd))
}

// nodePath is the path of the device of that number; empty where there is none.
func nodePath(number string) string {
	if real, err := filepath.EvalSymlinks("/sys/dev/block/" + number); err == nil {
		return "/dev/" + filepath.Base(real)
	}
	return ""
}
