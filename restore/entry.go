package restore

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/interlock-run/interlock/internal/durable"
	"golang.org/x/sys/unix"
)

// An entry is what the cleaner must know of a file before it touches it.
type entry struct {
	major, minor uint32
	ino          uint64
	mount        uint64
	mode         uint16
}

func (e entry) dir() bool         { return e.mode&unix.S_IFMT == unix.S_IFDIR }
func (e entry) same(o entry) bool { return e.ino == o.ino && e.major == o.major && e.minor == o.minor }
func (e entry) closed() bool      { return e.mode&0o700 != 0o700 }

// lookAt is statx of a name in a directory, or of the directory itself; it follows no link and sets off
// no automount.
func lookAt(dir int, name string) (entry, error) {
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	var st unix.Statx_t
	err := durable.Retry(func() error {
		return unix.Statx(dir, name, flags, unix.STATX_TYPE|unix.STATX_MODE|unix.STATX_INO|unix.STATX_MNT_ID, &st)
	})
	if err != nil {
		return entry{}, err
	}
	if st.Mask&unix.STATX_MNT_ID == 0 {
		return entry{}, fmt.Errorf("%w: the kernel does not tell mount points (5.8 or later does), so nothing may be removed", ErrRefused)
	}
	return entry{major: st.Dev_major, minor: st.Dev_minor, ino: st.Ino, mount: st.Mnt_id, mode: st.Mode}, nil
}

// look is lookAt that refuses what must never be removed or entered.
func (c *cleaner) look(name string) (entry, error) {
	e, err := lookAt(int(c.cur.Fd()), name)
	switch {
	case err != nil:
		return e, failed("stat", c.at(name), err)
	case e.mount != c.mount:
		return e, fmt.Errorf("%w: %q is a mount point inside what an unfinished restore left: unmount it first", ErrRefused, c.at(name))
	case e.same(c.state) && !(len(c.path) == 1 && name == ours[0]):
		return e, fmt.Errorf("%w: %q is the state directory, inside the data directory: give it a place outside", ErrRefused, c.at(name))
	}
	return e, nil
}

// open opens a directory for reading and for removing what is in it. Its owner may have left himself no
// right to that (a restored mode of 0500): then the mode is widened, since it is going to be removed.
func (c *cleaner) open(name string, e entry) (*os.File, error) {
	if e.closed() && !c.dry && os.Geteuid() != 0 {
		if err := c.widen(name, e); err != nil {
			return nil, err
		}
	}
	f, err := openAt(int(c.cur.Fd()), name)
	if errors.Is(err, unix.EACCES) && e.closed() {
		if err := c.widen(name, e); err != nil {
			return nil, err
		}
		f, err = openAt(int(c.cur.Fd()), name)
	}
	return f, err
}

// widen gives the owner all rights to a directory, by a descriptor, so that no link can be put between.
func (c *cleaner) widen(name string, e entry) error {
	fd, err := unix.Openat(int(c.cur.Fd()), name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = os.Chmod("/proc/self/fd/"+strconv.Itoa(fd), os.FileMode(e.mode&0o777|0o700))
	return errors.Join(err, unix.Close(fd))
}

func openAt(dir int, name string) (*os.File, error) {
	fd := -1
	err := durable.Retry(func() (err error) {
		fd, err = unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// failed makes the one line of an error of the cleaner.
func failed(what, path string, err error) error {
	return fmt.Errorf("clean up: %s %q: %w%s", what, path, err, durable.Hint(err))
}
