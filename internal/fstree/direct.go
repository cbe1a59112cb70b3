package fstree

import (
	"errors"
	"sync/atomic"
	"unsafe"

	"github.com/interlock-run/interlock/internal/durable"
	"golang.org/x/sys/unix"
)

// Large files of a target are written past the page cache where the filesystem is known to do that well. It
// saves a copy and the flush at the end, lets several writers into one file at once, and leaves the memory
// of the host to those who have something in it.

const (
	directAlign = 4 << 10   // of offset, length and memory
	directLeast = 128 << 10 // shorter pieces are better off in the cache
)

// directMagics are filesystems of local disks. Elsewhere it may be slow, or not what it says.
func directMagics() []int64 { return []int64{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC} }

// A directWriter is a second way to a file that is open already. Its zero value is of no use to anybody.
type directWriter struct {
	fd  int
	off atomic.Bool // the filesystem did not want it after all
}

// openDirect gives nil where that cannot be had.
func openDirect(fd int) *directWriter {
	own := -1
	err := durable.Retry(func() (err error) {
		own, err = unix.Open(proc(fd), unix.O_WRONLY|unix.O_DIRECT|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		return err
	})
	if err != nil {
		return nil
	}
	return &directWriter{fd: own}
}

// part is how much of p, from its start, can be written this way; the rest of it is the end of a file.
func (d *directWriter) part(p []byte, off int64) int {
	if d == nil || len(p) < directLeast || off%directAlign != 0 || d.off.Load() || uintptr(unsafe.Pointer(&p[0]))%directAlign != 0 {
		return 0
	}
	return len(p) &^ (directAlign - 1)
}

// write tells how much of p it wrote; what is left, if the filesystem refuses the manner, is the cache's.
func (d *directWriter) write(p []byte, off int64) (int, error) {
	done, err := pwriteFull(d.fd, p, off)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		d.off.Store(true)
		return done &^ (directAlign - 1), nil
	}
	return done, err
}

func (d *directWriter) close() error {
	if d == nil {
		return nil
	}
	return unix.Close(d.fd)
}

// pwriteFull writes all of p.
func pwriteFull(fd int, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n := 0
		err := durable.Retry(func() (err error) {
			n, err = unix.Pwrite(fd, p[done:], off+int64(done))
			return err
		})
		if err == nil && n == 0 {
			err = unix.EIO
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}
