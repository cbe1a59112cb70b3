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

// lock keeps other dumps of this host away from a server until the file is closed.
func lock(folder string, s memcached.Server) (*os.File, error) {
	sum := sha256.Sum256([]byte(s.Network + " " + s.Address))
	name := filepath.Join(folder, fmt.Sprintf("warm-%x.lock", sum[:8]))
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock memcached %s against other dumps: %w", s, err)
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EINTR {
			break
		}
	}
	if err == unix.EWOULDBLOCK {
		err = fmt.Errorf("memcached %s: %w (lock %s)", s, ErrRunning, name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
