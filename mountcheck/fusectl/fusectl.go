// Package fusectl is the kernel's list of FUSE connections, for those who must know whether one is gone,
// or break it.
//
// Promise: a connection is named by its number and its inode, so that a later one with the same number is
// never taken for it, as long as the list in which it was found is open. No call touches a FUSE mount, and
// nothing is mounted where anybody else sees it. Non-promise: without CAP_SYS_ADMIN, or before Linux 5.2,
// there is no list. Called by mountcheck/drain and mountcheck/rescue.
package fusectl

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// A List is open until Close. The zero value is a closed one.
type List struct {
	fd  int
	err error
}

// A Connection is one of the list; Inode 0 is none.
type Connection struct {
	Minor int // of the mount's device number
	Inode uint64
}

// Open never fails; where there is no list, each question gives the reason.
func Open() *List {
	fd, err := mount()
	if err != nil {
		return &List{fd: -1, err: fmt.Errorf("cannot see the FUSE connections (that takes CAP_SYS_ADMIN and Linux 5.2): %w", err)}
	}
	return &List{fd: fd}
}

func mount() (int, error) {
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

// Find gives the connection that has the number now; none is no error.
func (l *List) Find(minor int) (Connection, error) {
	c := Connection{Minor: minor}
	if l.err != nil {
		return c, l.err
	}
	var st unix.Stat_t
	err := unix.Fstatat(l.fd, strconv.Itoa(minor), &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return c, nil
	}
	c.Inode = st.Ino
	return c, os.NewSyscallError("stat of FUSE connection "+strconv.Itoa(minor), err)
}

// ErrGone is a connection that is not in the list any more.
var ErrGone = errors.New("the FUSE connection is gone")

// Abort breaks a connection: whoever waits in it gets an error, and so does whoever comes.
func (l *List) Abort(c Connection) error {
	if l.err != nil {
		return l.err
	}
	dir, err := unix.Openat(l.fd, strconv.Itoa(c.Minor), unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return ErrGone
	}
	if err != nil {
		return os.NewSyscallError("open of FUSE connection "+strconv.Itoa(c.Minor), err)
	}
	defer unix.Close(dir)
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return os.NewSyscallError("stat of FUSE connection "+strconv.Itoa(c.Minor), err)
	}
	if st.Ino != c.Inode {
		return ErrGone // the number is another's by now
	}
	fd, err := unix.Openat(dir, "abort", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("open of abort", err)
	}
	_, err = unix.Write(fd, []byte("1"))
	return errors.Join(os.NewSyscallError("abort", err), unix.Close(fd))
}

// Close may be called again.
func (l *List) Close() error {
	if l.err != nil {
		return nil
	}
	l.err = errors.New("the list of FUSE connections was closed")
	return unix.Close(l.fd)
}
