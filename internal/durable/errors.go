package durable

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Errors that callers branch on.
var (
	ErrAbsent = errors.New("not there")                        // a real ENOENT, its parent being there
	ErrOdd    = errors.New("not what is expected there")       // wrong kind of file, symbolic link, too large
	ErrBusy   = errors.New("another process is at work in it") // the directory's lock is taken
)

// failed makes the one line of an error: what, where, why, what to do.
func failed(what, path string, err error) error {
	return fmt.Errorf("%s %q: %w%s", what, path, err, Hint(err))
}

// Hint is the way out for an error of the system, beginning with a colon, or empty.
func Hint(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return ""
	}
	if errno == syscall.EPERM && os.Geteuid() == 0 {
		return ": root may not either: see whether it is immutable or append-only (lsattr), or a security module forbids it"
	}
	switch errno {
	case syscall.ENOSPC, syscall.EDQUOT:
		return ": free space, inodes or quota there"
	case syscall.EROFS:
		return ": the filesystem is read-only: see why (kernel log, mount options) and remount it"
	case syscall.EACCES, syscall.EPERM:
		return ": run interlock as the owner, or give it access"
	case syscall.EIO, syscall.ESTALE, syscall.ENOTCONN, syscall.ESHUTDOWN:
		return ": the storage does not answer rightly: see the kernel log, and mount it again"
	case syscall.ENOENT, syscall.ENOTDIR:
		return ": check that it is mounted and spelled right; it is never created here"
	case syscall.EBUSY:
		return ": it is in use or a mount point: unmount it or end the user"
	}
	return ""
}

// Retry calls f again while it was interrupted by a signal (the runtime's own, on slow filesystems).
func Retry(f func() error) error {
	err := f()
	for n := 0; errors.Is(err, syscall.EINTR) && n < 1000; n++ {
		err = f()
	}
	return err
}
