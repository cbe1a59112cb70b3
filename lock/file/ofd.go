package file

import (
	"errors"

	"golang.org/x/sys/unix"
)

// whole is a lock on all of the file, however long.
func whole(kind int16) unix.Flock_t { return unix.Flock_t{Type: kind} }

// tryLock takes the lock if it is free.
func tryLock(fd int) (bool, error) {
	l := whole(unix.F_WRLCK)
	err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &l)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, err
}

// unlock frees the lock for all who share the open file description; no lock held is no error.
func unlock(fd int) error {
	l := whole(unix.F_UNLCK)
	return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &l)
}

// isHeld asks whether another open file description has the lock.
func isHeld(fd int) (bool, error) {
	l := whole(unix.F_WRLCK)
	if err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_GETLK, &l); err != nil {
		return false, err
	}
	return l.Type != unix.F_UNLCK, nil
}

// sameFile tells whether the path still leads to the open file. Only an answer of the filesystem says
// no; an error is unknown.
func sameFile(path string, fd int) (bool, error) {
	var open, named unix.Stat_t
	if err := unix.Fstat(fd, &open); err != nil {
		return false, classify(path, "look at the open file", err)
	}
	err := unix.Stat(path, &named)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, classify(path, "look at it", err)
	}
	return open.Dev == named.Dev && open.Ino == named.Ino, nil
}
