// Package tempdir makes directories that go with the process that made them.
//
// Promise: what a killed process left is removed by the next one that sweeps the same place for the same prefix, and
// never what is in use. Non-promise: the lock that tells the two apart is the filesystem's: where that knows none,
// nothing is ever removed, and where it knows only those of one host, each host needs a place of its own. Called by all
// that put something large aside: verifications, backups beside a full disk, dumps of caches.
package tempdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/durable"
)

// A Dir is a directory of this process, mode 0700. What begins with a dot in it is its own.
type Dir struct {
	Path string
	lock *os.File // in it, and locked; a directory itself cannot be for other hosts
}

const (
	lockName = ".lock"
	tries    = 100 // each is lost only to a sweep of just that moment
)

// errTaken is a directory that somebody else is at work in, or is removing.
var errTaken = errors.New("in use")

// Make makes a directory whose name begins with prefix, in above or, where that is empty, where temporary files go.
func Make(above, prefix string) (*Dir, error) {
	for range tries {
		path, err := os.MkdirTemp(above, prefix)
		if err != nil {
			return nil, err
		}
		d, err := hold(path, os.O_CREATE|os.O_EXCL)
		switch {
		case err == nil:
			return d, nil
		case errors.Is(err, errTaken), errors.Is(err, fs.ErrNotExist):
			continue
		case unsupported(err):
			return &Dir{Path: path}, nil
		}
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	return nil, fmt.Errorf("%s*: %w, %d times", filepath.Join(above, prefix), errTaken, tries)
}

// Sweep removes what killed processes left of such directories. What it cannot tell it leaves alone.
func Sweep(above, prefix string) error {
	if above == "" {
		above = os.TempDir()
	}
	found, err := os.ReadDir(above)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range found {
		if !strings.HasPrefix(e.Name(), prefix) || !ours(e) {
			continue
		}
		path := filepath.Join(above, e.Name())
		if _, empty := os.Lstat(filepath.Join(path, lockName)); errors.Is(empty, fs.ErrNotExist) {
			_ = unix.Rmdir(path) // only made, or all but removed: nothing is lost but a try of Make; ENOTEMPTY is not ours to judge
			continue
		}
		if d, taken := hold(path, 0); taken == nil {
			err = errors.Join(err, d.Remove())
		}
	}
	return err
}

// hold locks a directory.
func hold(path string, flags int) (*Dir, error) {
	name := filepath.Join(path, lockName)
	f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|flags, 0o600)
	if err != nil {
		return nil, err
	}
	err = durable.Retry(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if err == unix.EWOULDBLOCK {
		err = errTaken
	}
	if err == nil {
		err = stillThere(f, name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Dir{path, f}, nil
}

// stillThere tells a lock from that of a file which was removed between its opening and its locking.
func stillThere(f *os.File, name string) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Lstat(name)
	if err == nil && !os.SameFile(mine, there) {
		err = errTaken
	}
	return err
}

// ours: the place may be everybody's.
func ours(e fs.DirEntry) bool {
	info, err := e.Info()
	if err != nil || !info.IsDir() {
		return false
	}
	st, known := info.Sys().(*syscall.Stat_t)
	return known && int(st.Uid) == os.Geteuid()
}

func unsupported(err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.EINVAL)
}

// Remove removes all of it, its lock last: as long as there is something, it can be told that nobody uses it. The lock is
// closed before the directory goes: an open file stays by another name on NFS and many a FUSE, and keeps its directory.
func (d *Dir) Remove() error {
	found, err := os.ReadDir(d.Path)
	for _, e := range found {
		if e.Name() != lockName {
			err = errors.Join(err, os.RemoveAll(filepath.Join(d.Path, e.Name())))
		}
	}
	if err == nil {
		err = remove(filepath.Join(d.Path, lockName))
	}
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	if err == nil {
		err = remove(d.Path)
	}
	return err
}

// remove lets somebody else have removed it.
func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
