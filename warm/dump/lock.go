package dump

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/warm/memcached"
)

// A Lock keeps other dumps and loads of this host away from a server.
type Lock struct{ file *os.File }

// lockTries bounds how often a lock file is removed by its holder between our open and our lock.
const lockTries = 100

// Acquire takes the lock of a server, or gives ErrRunning.
func Acquire(folder string, s memcached.Server) (*Lock, error) {
	sum := sha256.Sum256([]byte(s.Network + " " + s.Address))
	name := filepath.Join(folder, fmt.Sprintf("warm-%x.lock", sum[:8]))
	for range lockTries {
		l, err := acquire(name)
		if l != nil {
			return l, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot lock memcached %s against other dumps and loads: %w", s, err)
		}
	}
	return nil, fmt.Errorf("memcached %s: %w (lock %s)", s, ErrRunning, name)
}

// acquire gives nothing where the file was removed meanwhile.
func acquire(name string) (*Lock, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EINTR {
			break
		}
	}
	if err == unix.EWOULDBLOCK {
		err = fmt.Errorf("%w (lock %s)", ErrRunning, name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	ours, err := f.Stat()
	there, gone := os.Lstat(name)
	if err == nil && gone == nil && os.SameFile(ours, there) {
		return &Lock{f}, nil
	}
	if errors.Is(gone, os.ErrNotExist) {
		gone = nil
	}
	return nil, errors.Join(err, gone, f.Close())
}

// Release removes the file, while it is ours, and lets the next one in.
func (l *Lock) Release() error {
	err := os.Remove(l.file.Name())
	if errors.Is(err, os.ErrNotExist) { // somebody has tidied up
		err = nil
	}
	return errors.Join(err, l.file.Close())
}
