package rescue

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/mountcheck/fusectl"
)

// errGone is a volume that is not what it was; there is nothing to pull any more.
var errGone = errors.New("it is not the one that was there at the start")

// pull may hang.
func (l Lever) pull() error {
	switch l.Kind {
	case Abort:
		list := fusectl.Open()
		return errors.Join(list.Abort(l.FUSE), list.Close())
	case Force:
		return l.force()
	case Detach:
		return l.unmount(unix.MNT_DETACH)
	case Disconnect:
		return l.disconnect()
	}
	return fmt.Errorf("lever %q is none of %s, %s, %s, %s", l.Kind, Abort, Force, Disconnect, Detach)
}

// force holds the mount while it is to be unmounted, so that it stays: who waits may do so in a copy of it, in
// another mount namespace, and need the next pull, too, for which there would be no mount left here.
func (l Lever) force() error {
	pin, err := unix.Open(l.Mount.Point, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", l.Mount.Point, err)
	}
	return errors.Join(l.unmount(unix.MNT_FORCE), unix.Close(pin))
}

// unmount: that force finds the mount busy is what is expected.
func (l Lever) unmount(how int) error {
	now, err := mountcheck.Trace(l.Mount.Point)
	if err != nil {
		return err
	}
	if now.ID != l.Mount.ID || now.Unique != l.Mount.Unique || now.Point != l.Mount.Point {
		return errGone
	}
	err = unix.Unmount(l.Mount.Point, how|unix.UMOUNT_NOFOLLOW)
	if how == unix.MNT_FORCE && errors.Is(err, unix.EBUSY) {
		return nil
	}
	return err
}

func (l Lever) disconnect() error {
	pid, err := pidOf(l.Device.Name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && pid != l.Device.Pid {
		return errGone
	}
	if err != nil {
		return err
	}
	index, err := strconv.ParseUint(strings.TrimPrefix(l.Device.Name, "nbd"), 10, 32)
	if err != nil {
		return fmt.Errorf("device %q: %w", l.Device.Name, err)
	}
	return disconnectNBD(uint32(index))
}
