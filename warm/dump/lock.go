package dump

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/durable"
	"github.com/interlock-run/interlock/warm/memcached"
)

// A Lock keeps other dumps and loads of this host away from a server: by its address, before it is asked anything, and
// once it was, by what it says of itself.
type Lock struct {
	file *os.File // nil: there is no folder for it
	run  *os.File // nil: not met yet
}

// lockTries bounds how often a lock file is removed by its holder between our open and our lock.
const lockTries = 100

// Acquire takes the lock of an address, or gives ErrRunning. Without a folder it takes none: then Meet does all.
func Acquire(folder string, s memcached.Server) (*Lock, error) {
	if folder == "" {
		return &Lock{}, nil
	}
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
	err = durable.Retry(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if err == unix.EWOULDBLOCK {
		err = fmt.Errorf("%w (lock %s)", ErrRunning, name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	ours, err := f.Stat()
	there, gone := os.Lstat(name)
	if err == nil && gone == nil && os.SameFile(ours, there) {
		return &Lock{file: f}, nil
	}
	if errors.Is(gone, os.ErrNotExist) {
		gone = nil
	}
	return nil, errors.Join(err, gone, f.Close())
}

// Meet takes the lock of the run of the server that c talks to, or gives ErrRunning. It is one for all names of the
// server and all folders, as far as processes see the same network: a name in it, which is gone with its process.
func (l *Lock) Meet(c *memcached.Conn) error {
	id, err := c.Identity()
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(id))
	name := fmt.Sprintf("@interlock-warm-%x", sum[:16])
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot lock memcached %s against other dumps and loads: %w", c.Server(), err)
	}
	run := os.NewFile(uintptr(fd), name)
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: name})
	if err == unix.EADDRINUSE {
		err = fmt.Errorf("memcached %s: %w, under another name of it or with another folder (lock %s)", c.Server(), ErrRunning, name)
	} else if err != nil {
		err = fmt.Errorf("cannot lock memcached %s against other dumps and loads: %w", c.Server(), err)
	}
	if err != nil {
		return errors.Join(err, run.Close())
	}
	l.run = run
	return nil
}

// Release removes the file, while it is ours, and lets the next one in.
func (l *Lock) Release() (err error) {
	if l.run != nil {
		err = l.run.Close()
	}
	if l.file == nil {
		return err
	}
	gone := os.Remove(l.file.Name())
	if errors.Is(gone, os.ErrNotExist) { // somebody has tidied up
		gone = nil
	}
	return errors.Join(err, gone, l.file.Close())
}
