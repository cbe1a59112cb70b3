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
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// unused tests beforehand what e2fsck would only answer by one exit status for all: mounted anywhere that
// is seen here, held by another device, claimed by somebody, the same filesystem by another way, or in use on
// another node as far as multiple-mount protection tells.
func (w *work) unused(ctx context.Context) error {
	points, err := w.mountedAt()
	if err != nil {
		return err
	}
	if len(points) > 0 {
		return fmt.Errorf("it is mounted at %s, expected nowhere", strings.Join(points, ", "))
	}
	top, err := at(w.Point)
	if err = errors.Join(err, foreign(top)); err != nil {
		return err
	}
	for _, look := range []func(context.Context) error{w.held, w.claimed, w.twin, w.protected} {
		if err := look(ctx); err != nil {
			return err
		}
	}
	return nil
}

// foreign is the refusal of a mount at the mountpoint; nil for none.
func foreign(top *mountinfo.Info) error {
	if top == nil {
		return nil
	}
	return fmt.Errorf("%s is mounted at %s already, expected nothing: unmount it, or choose another mountpoint", top.Source, top.Mountpoint)
}

func (w *work) held(context.Context) error {
	node, err := w.node()
	if err != nil {
		return err
	}
	holders, err := os.ReadDir(filepath.Join("/sys/class/block", node, "holders"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(holders) > 0 {
		return fmt.Errorf("device %s stands on it", holders[0].Name())
	}
	return nil
}

var errClaimed = errors.New("somebody has claimed it: mounted in another namespace, or in use by a tool")

// claimed is a test and no claim: e2fsck and mount of a device that we hold ourselves fail, too.
func (w *work) claimed(context.Context) error {
	fd, err := unix.Open(w.Path, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EBUSY) {
		return errClaimed
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: w.Path, Err: err}
	}
	return unix.Close(fd)
}

// twinLimit bounds the look at one other device, which may hang.
const twinLimit = 3 * time.Second

// twin finds the same filesystem mounted through another device: a snapshot or a second attachment. The
// kernel refuses that for xfs alone, and says only that the superblock is bad.
func (w *work) twin(ctx context.Context) error {
	infos, err := table()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, i := range infos {
		number := fmt.Sprintf("%d:%d", i.Major, i.Minor)
		if i.FSType != w.FSType || seen[number] {
			continue
		}
		seen[number] = true
		limited, cancel := context.WithTimeout(ctx, twinLimit)
		found, err := w.probe(limited, nodePath(number))
		cancel()
		if err == nil && w.uuid != "" && found["UUID"] == w.uuid {
			return fmt.Errorf("its filesystem, UUID %s, is mounted at %s through %s: it is a copy, or attached twice: give the copy a UUID of its own (tune2fs -U, xfs_admin -U), or detach the other", w.uuid, i.Mountpoint, i.Source)
		}
	}
	return nil
}

// protected asks multiple-mount protection, which takes 11 s where the last user did not end well. It is a
// look and no fencing: whoever was cut off goes on when it is back.
func (w *work) protected(ctx context.Context) error {
	if !w.mmp {
		return nil
	}
	err := w.command(ctx, []string{"e2mmpstatus", w.Path})
	var f *failure
	if errors.As(err, &f) {
		return fmt.Errorf("its multiple-mount protection says that it is in use, or that a check of it was cut off (e2mmpstatus -i %s shows by whom): find out who uses it; only if surely nobody does, tune2fs -f -E clear_mmp by hand: %w", w.Path, f)
	}
	return err
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
