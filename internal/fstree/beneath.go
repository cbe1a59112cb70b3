package fstree

import (
	"errors"
	"strconv"
	"strings"

	"github.com/interlock-run/interlock/internal/durable"
	"golang.org/x/sys/unix"
)

// step bounds what is given to the kernel as one path: PATH_MAX is 4096.
const step = 4000

// resolve is how every path below the root is resolved.
func resolve(cross bool) uint64 {
	r := uint64(unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS)
	if !cross {
		r |= unix.RESOLVE_NO_XDEV
	}
	return r
}

// openAt opens a path beneath a directory.
func (t *Tree) openAt(dir int, path string, flags int, mode uint32) (int, error) {
	fd := -1
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Mode: uint64(mode), Resolve: t.resolve}
	err := durable.Retry(func() (err error) {
		fd, err = unix.Openat2(dir, path, &how)
		return err
	})
	// The kernel could not exclude a race with a rename somewhere in the system.
	for n := 0; n < 100 && err == unix.EAGAIN; n++ {
		fd, err = unix.Openat2(dir, path, &how)
	}
	return fd, err
}

// open opens a path of any length beneath the root.
func (t *Tree) open(path string, flags int, mode uint32) (int, error) {
	at, rest := t.fd, path
	for len(rest) > step {
		cut := strings.LastIndexByte(rest[:step], '/')
		if cut < 0 {
			break // a name that is too long: the kernel says so
		}
		next, err := t.openAt(at, rest[:cut], unix.O_PATH|unix.O_DIRECTORY, 0)
		if err := errors.Join(err, t.leave(at)); err != nil {
			return -1, err
		}
		at, rest = next, rest[cut+1:]
	}
	fd, err := t.openAt(at, rest, flags, mode)
	if e := t.leave(at); e != nil && err == nil {
		return -1, errors.Join(e, unix.Close(fd))
	}
	return fd, err
}

// leave closes a directory on the way, never the root.
func (t *Tree) leave(fd int) error {
	if fd == t.fd {
		return nil
	}
	return unix.Close(fd)
}

// parent opens the directory that a path lies in, for calls that take a directory and a name.
func (t *Tree) parent(path string) (fd int, name string, err error) {
	dir, name := split(path)
	fd, err = t.open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	return fd, name, err
}

// inParent calls f with the directory that a path lies in.
func (t *Tree) inParent(path string, f func(dir int, name string) error) error {
	dir, name, err := t.parent(path)
	if err != nil {
		return err
	}
	err = durable.Retry(func() error { return f(dir, name) })
	if e := unix.Close(dir); err == nil {
		err = e
	}
	return err
}

// statAt is statx of a name, or of the descriptor itself; it follows no link and sets off no automount.
func statAt(dir int, name string) (unix.Statx_t, error) {
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	var st unix.Statx_t
	err := durable.Retry(func() error {
		return unix.Statx(dir, name, flags, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &st)
	})
	return st, err
}

// proc is a path that leads to exactly what a descriptor is open on, also one of O_PATH.
func proc(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
