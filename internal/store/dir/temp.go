package dir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/store"
)

// tempDir holds what is being written. No key begins with a dot.
const tempDir = ".tmp"

// piece is how much is written before ctx is looked at again.
const piece = 256 << 10

// A temp is a file without a key, locked while its writer lives.
type temp struct {
	dir  *Dir
	f    *os.File
	name string
}

func (d *Dir) newTemp() (*temp, error) {
	name := path.Join(tempDir, rand.Text())
	flags := os.O_RDWR | os.O_CREATE | os.O_EXCL
	f, err := d.root.OpenFile(name, flags, d.mode&0o660)
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.mkdir(tempDir); err != nil {
			return nil, err
		}
		f, err = d.root.OpenFile(name, flags, d.mode&0o660)
	}
	if err != nil {
		return nil, d.fault("make", name, err)
	}
	t := &temp{dir: d, f: f, name: name}
	// Without locks a file left behind is known by its age alone: Sweep takes care.
	if err := flock(f); err != nil && !unsupported(err) {
		return nil, firstOf(d.fault("lock", name, err), t.drop())
	}
	return t, nil
}

// fill writes exactly size bytes and syncs them.
func (t *temp) fill(ctx context.Context, key string, body io.Reader, size int64) error {
	buffer := make([]byte, min(piece, size))
	for done := int64(0); done < size; {
		if err := ended(ctx, key); err != nil {
			return err
		}
		n, err := io.ReadFull(body, buffer[:min(piece, size-done)])
		if err != nil {
			return fmt.Errorf("%w: the body of %q ended after %d of %d bytes: %w", store.ErrUse, key, done+int64(n), size, err)
		}
		if _, err := t.f.Write(buffer[:n]); err != nil {
			return t.dir.fault("write", key, err)
		}
		done += int64(n)
	}
	if err := t.f.Sync(); err != nil {
		return t.dir.fault("fsync", key, err)
	}
	return nil
}

// drop removes the temporary name. What it cannot remove, a sweep will: the object is not touched by it.
func (t *temp) drop() error {
	err := t.dir.root.Remove(t.name)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return firstOf(err, t.f.Close())
}

// links counts the names of the file anew: a network filesystem asks its server at an open.
func (t *temp) links() (uint64, error) {
	f, err := t.dir.root.Open(t.name)
	if err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err := firstOf(err, f.Close()); err != nil {
		return 0, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return uint64(stat.Nlink), nil
}

func flock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func unsupported(err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.EINVAL)
}
