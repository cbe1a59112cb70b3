package fstree

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/interlock-run/interlock/internal/durable"
	"golang.org/x/sys/unix"
)

// big is the size from which the kernel is told how a file will be read, and blocks are reserved.
const big = 1 << 20

// A Reader is a file of a tree, open. ReadAt and Runs may be called at once from many goroutines.
type Reader struct {
	fd int
	e  Entry
}

// Open opens the file that Walk told of. It is the same inode in the same state, or the error is Moving.
// Nothing is followed, and nothing blocks should a FIFO lie there now.
func (t *Tree) Open(e Entry) (*Reader, error) {
	r, err := t.OpenAsIs(e)
	if err != nil {
		return nil, err
	}
	if err := r.Check(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// OpenAsIs is Open that takes the file also if it has changed since, or if another has its name now.
func (t *Tree) OpenAsIs(e Entry) (*Reader, error) {
	if e.Kind != File {
		return nil, fmt.Errorf("open %q: it is a %s: expected a file", e.Path, e.Kind)
	}
	flags := unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY
	fd, err := t.open(e.Path, flags|unix.O_NOATIME, 0)
	if err == unix.EPERM { // only the owner and root may leave no trace
		fd, err = t.open(e.Path, flags, 0)
	}
	if err != nil {
		if err == unix.ENXIO || err == unix.EXDEV { // a socket, or something mounted meanwhile
			return nil, fmt.Errorf("open %q: %w: %w", e.Path, ErrChanged, err)
		}
		return nil, gone(e.Path, failed("open", e.Path, err))
	}
	r := &Reader{fd: fd, e: e}
	if err := r.isFile(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if e.Size >= big {
		err = unix.Fadvise(fd, 0, 0, unix.FADV_SEQUENTIAL)
	}
	if err != nil && err != unix.EINVAL && err != unix.ENOSYS { // it is advice
		return nil, errors.Join(failed("advise on", e.Path, err), r.Close())
	}
	return r, nil
}

// isFile refuses what took a file's name and cannot be read like one.
func (r *Reader) isFile() error {
	st, err := statAt(r.fd, "")
	if err != nil {
		return failed("stat", r.e.Path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("file %q: %w: it is no file any more", r.e.Path, ErrChanged)
	}
	return nil
}

// Check tells whether the file is still as Walk saw it. Called after the last read it says whether the
// whole of what was read is of one state.
func (r *Reader) Check() error {
	st, err := statAt(r.fd, "")
	if err != nil {
		return failed("stat", r.e.Path, err)
	}
	now := entryOf(r.e.Path, &st)
	switch {
	case now.Kind != File || now.Ino != r.e.Ino || now.Dev != r.e.Dev:
		err = fmt.Errorf("file %q: %w: another file has its name now", r.e.Path, ErrChanged)
	case now.Nlink == 0:
		err = fmt.Errorf("file %q: %w", r.e.Path, ErrVanished)
	case now.Size < r.e.Size:
		err = fmt.Errorf("file %q: %w: %d bytes, then %d", r.e.Path, ErrShrank, r.e.Size, now.Size)
	case now.Size != r.e.Size:
		err = fmt.Errorf("file %q: %w: %d bytes, then %d", r.e.Path, ErrChanged, r.e.Size, now.Size)
	case now.Mtime != r.e.Mtime || now.Ctime != r.e.Ctime:
		err = fmt.Errorf("file %q: %w: its times differ", r.e.Path, ErrChanged)
	}
	return err
}

// ReadAt reads the content as long as Walk saw it: nothing beyond, and ErrShrank where it is missing.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read %q: offset %d: expected none below 0", r.e.Path, off)
	}
	if off >= r.e.Size {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), r.e.Size-off)]
	n, err := preadFull(r.fd, want, off)
	switch {
	case err == io.EOF:
		return n, fmt.Errorf("file %q: %w: no bytes at %d of %d", r.e.Path, ErrShrank, off+int64(n), r.e.Size)
	case err != nil:
		return n, failed("read", r.e.Path, err)
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

// preadFull fills p, or says io.EOF.
func preadFull(fd int, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n := 0
		err := durable.Retry(func() (err error) {
			n, err = unix.Pread(fd, p[done:], off+int64(done))
			return err
		})
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, io.EOF
		}
		done += n
	}
	return done, nil
}

// A Run is a range of a file that holds data; what lies between runs reads as zeros.
type Run struct{ Off, Len int64 }

// Runs gives the runs of data in order, as the filesystem tells: one for the whole file where it cannot,
// none where all is hole.
func (r *Reader) Runs() iter.Seq2[Run, error] {
	if !r.e.Sparse {
		return func(yield func(Run, error) bool) {
			if r.e.Size > 0 {
				yield(Run{Len: r.e.Size}, nil)
			}
		}
	}
	return func(yield func(Run, error) bool) {
		for off := int64(0); off < r.e.Size; {
			run, err := nextRun(r.fd, off, r.e.Size)
			if err != nil {
				yield(Run{}, failed("look for holes in", r.e.Path, err))
				return
			}
			if run.Len == 0 || !yield(run, nil) {
				return
			}
			off = run.Off + run.Len
		}
	}
}

// nextRun is the first run at or after off; of no length if there is none.
func nextRun(fd int, off, size int64) (Run, error) {
	data, err := unix.Seek(fd, off, unix.SEEK_DATA)
	switch {
	case err == unix.ENXIO || err == nil && data >= size:
		return Run{Off: size}, nil
	case err == unix.EINVAL || err == unix.EOPNOTSUPP:
		return Run{Off: off, Len: size - off}, nil
	case err != nil:
		return Run{}, err
	}
	hole, err := unix.Seek(fd, data, unix.SEEK_HOLE)
	if err == unix.ENXIO { // it shrank meanwhile: Check tells
		hole, err = size, nil
	}
	hole = max(min(hole, size), data+1)
	return Run{Off: data, Len: min(hole, size) - data}, err
}

// Entry is what the reader was opened for.
func (r *Reader) Entry() Entry { return r.e }

// Close frees the file. No call of ReadAt may be under way.
func (r *Reader) Close() error {
	if err := unix.Close(r.fd); err != nil {
		return &os.PathError{Op: "close", Path: r.e.Path, Err: err}
	}
	return nil
}

// CloneTo makes an empty file share all bytes of this one, where the filesystem can: the error is the bare
// one of the system.
func (r *Reader) CloneTo(f *os.File) error { return unix.IoctlFileClone(int(f.Fd()), r.fd) }
