package drain

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// control is the kernel's list of FUSE connections, mounted nowhere: only this descriptor sees it. As long
// as it is open, a connection keeps its inode, which tells it from a later one with the same number.
type control struct {
	fd  int
	err error
}

func openControl() *control {
	fd, err := mountControl()
	if err != nil {
		return &control{fd: -1, err: fmt.Errorf("cannot see the FUSE connections (that takes CAP_SYS_ADMIN and Linux 5.2): %w", err)}
	}
	return &control{fd: fd}
}

func mountControl() (int, error) {
	fsfd, err := unix.Fsopen("fusectl", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsopen fusectl", err)
	}
	defer unix.Close(fsfd)
	if err := unix.FsconfigCreate(fsfd); err != nil {
		return -1, os.NewSyscallError("fsconfig fusectl", err)
	}
	fd, err := unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, 0)
	return fd, os.NewSyscallError("fsmount fusectl", err)
}

// connection gives the inode of a connection, 0 if there is none of that number.
func (c *control) connection(minor int) (uint64, error) {
	if c.err != nil {
		return 0, c.err
	}
	var st unix.Stat_t
	err := unix.Fstatat(c.fd, strconv.Itoa(minor), &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return 0, nil
	}
	return st.Ino, os.NewSyscallError("stat of FUSE connection "+strconv.Itoa(minor), err)
}

func (c *control) close() error {
	if c.fd < 0 {
		return nil
	}
	fd := c.fd
	c.fd, c.err = -1, errors.New("the plan was closed")
	return unix.Close(fd)
}
