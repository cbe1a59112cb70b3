// Package durable keeps small files that are whole or absent after a crash at any point.
//
// Promise: a reader sees the old content or the new one, never a mixture; once Replace has returned nil
// the new one survives a power cut, as far as the filesystem keeps its word on fsync; nothing but a real
// ENOENT is reported as absent. Non-promise: the lock of a directory holds among the processes of one
// host; between hosts the lease protocol keeps writers apart. Called by fence and restore, that is by
// workers: it blocks as long as the filesystem does.
package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// MaxSize bounds what is read and written: anything larger is none of ours.
const MaxSize = 64 << 10

// A Dir is an open directory that holds such files.
type Dir struct {
	f    *os.File
	path string
}

// Open opens an existing directory. It fails with ErrAbsent if the directory is not there although its
// parent is, and with ErrOdd if a file or a symbolic link lies there: whether a link's target lies on the
// protected filesystem could not be told from the path.
func Open(path string) (*Dir, error) {
	parent, err := openParent(path)
	if err != nil {
		return nil, err
	}
	defer parent.Close() //nolint:errcheck // opened with O_PATH: nothing to lose
	return openIn(parent, path)
}

// OpenOrMake is Open that makes the directory, mode 0700, if it is absent; never its parents.
func OpenOrMake(path string) (*Dir, error) {
	parent, err := openParent(path)
	if err != nil {
		return nil, err
	}
	defer parent.Close() //nolint:errcheck // opened with O_PATH: nothing to lose
	d, err := openIn(parent, path)
	if !errors.Is(err, ErrAbsent) {
		return d, err
	}
	if err := makeIn(parent, path); err != nil {
		return nil, err
	}
	return openIn(parent, path)
}

func openParent(path string) (*os.File, error) {
	if !filepath.IsAbs(path) || filepath.Clean(path) == "/" {
		return nil, fmt.Errorf("directory %q: %w: expected an absolute path below /", path, ErrOdd)
	}
	up := filepath.Dir(filepath.Clean(path))
	fd, err := openat(unix.AT_FDCWD, up, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, failed("open the parent of "+filepath.Base(path), up, err)
	}
	return os.NewFile(uintptr(fd), up), nil
}

func openIn(parent *os.File, path string) (*Dir, error) {
	fd, err := openat(int(parent.Fd()), filepath.Base(path), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, fmt.Errorf("directory %q: %w", path, ErrAbsent)
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("%q: %w: expected a directory, not a file or a symbolic link: give the real path", path, ErrOdd)
	case err != nil:
		return nil, failed("open directory", path, err)
	}
	return &Dir{f: os.NewFile(uintptr(fd), path), path: path}, nil
}

// makeIn also makes the new directory's name durable: a file in it is no better than its own entry.
func makeIn(parent *os.File, path string) error {
	err := Retry(func() error { return unix.Mkdirat(int(parent.Fd()), filepath.Base(path), 0o700) })
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return failed("make directory", path, err)
	}
	fd, err := openat(int(parent.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return failed("open for fsync", parent.Name(), err)
	}
	up := os.NewFile(uintptr(fd), parent.Name())
	err = Retry(up.Sync)
	if err := errors.Join(err, up.Close()); err != nil {
		return failed("fsync", parent.Name(), err)
	}
	return nil
}

// Lock takes the directory for this process until Close, or fails with ErrBusy at once.
func (d *Dir) Lock() error {
	err := Retry(func() error { return unix.Flock(int(d.f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("directory %q: %w: end it first", d.path, ErrBusy)
	}
	if err != nil {
		return failed("lock directory", d.path, err)
	}
	return nil
}

// Close frees the directory and its lock.
func (d *Dir) Close() error { return d.f.Close() }

// Path is the path it was opened by.
func (d *Dir) Path() string { return d.path }

func openat(dir int, name string, flags int, mode uint32) (int, error) {
	fd := -1
	err := Retry(func() (err error) {
		fd, err = unix.Openat(dir, name, flags|unix.O_CLOEXEC|unix.O_NONBLOCK, mode)
		return err
	})
	return fd, err
}
