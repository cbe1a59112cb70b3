package fstree

import (
	"errors"
	"fmt"

	"github.com/interlock-run/interlock/internal/durable"
	"golang.org/x/sys/unix"
)

// startAt is the length of a write from which it is sent on its way to the disk at once.
const startAt = 256 << 10

// aheadLeast is the length of a range from which it is worth a call to have it read ahead.
const aheadLeast = 256 << 10

// A Writer is a file of a target, open. ReadAt, WriteAt and Hole may be called at once from many
// goroutines, for ranges that do not overlap; then Finish, or Close to give up.
type Writer struct {
	g      *Target
	e      Entry
	fd     int
	direct *directWriter // past the page cache; nil: there is no such way
	old    int64         // bytes of old content
}

// Create opens a file to be filled: its old inode where that has no other name, else a new one.
func (g *Target) Create(e Entry) (*Writer, error) {
	if err := g.accept(&e); err != nil {
		return nil, err
	}
	if e.Kind != File || e.Link != "" {
		return nil, fmt.Errorf("create %q: it is a %s or hard link: expected it at Place", e.Path, e.Kind)
	}
	w := &Writer{g: g, e: e, fd: -1}
	path := g.where(e.Path)
	err := w.fresh(path)
	if errors.Is(err, unix.EEXIST) && g.ours {
		err = w.again(path)
	} else if errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("create %q: %w", e.Path, ErrForeign)
	}
	if err != nil {
		return nil, failed("create", e.Path, err)
	}
	if err := w.size(); err != nil {
		return nil, errors.Join(failed("reserve space for", e.Path, err), w.Close())
	}
	if e.Size >= big && g.direct {
		w.direct = openDirect(w.fd)
	}
	g.made(e.Path)
	return w, nil
}

func (w *Writer) fresh(path string) (err error) {
	flags := unix.O_RDWR | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_NOCTTY
	w.fd, err = w.g.t.open(path, flags, 0o600)
	return err
}

// again opens the file that is there, by way of a descriptor that shows first what it is: no device is
// opened by mistake, and nothing is written to an inode that has a name elsewhere.
func (w *Writer) again(path string) error {
	at, err := w.g.t.open(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	usable, err := w.reuse(at)
	if err := errors.Join(err, unix.Close(at)); err != nil || usable {
		return err
	}
	if err := w.g.remove(path); err != nil {
		return err
	}
	return w.fresh(path)
}

// reuse tells whether the file can be written to; one that cannot is replaced.
func (w *Writer) reuse(at int) (bool, error) {
	st, err := statAt(at, "")
	if err != nil || kindOf(st.Mode) != File || st.Nlink != 1 {
		return false, err
	}
	if w.g.t.otherMount(&st) {
		return false, unix.EXDEV
	}
	err = w.reopen(at, &st)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ETXTBSY) {
		return false, nil
	}
	return true, err
}

// reopen closes the file to others first, unless it is theirs already in the same way.
func (w *Writer) reopen(at int, st *unix.Statx_t) (err error) {
	private := uint32(st.Mode)&0o7777 == w.e.Mode && st.Uid == w.e.UID && st.Gid == w.e.GID
	if !private || st.Mode&0o600 != 0o600 {
		if err := unix.Chmod(proc(at), 0o600); err != nil {
			return err
		}
	}
	err = durable.Retry(func() (err error) {
		w.fd, err = unix.Open(proc(at), unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		return err
	})
	if err != nil {
		return err
	}
	w.old = min(int64(st.Size), w.e.Size)
	if int64(st.Size) == w.e.Size {
		return nil
	}
	err = durable.Retry(func() error { return unix.Ftruncate(w.fd, w.e.Size) })
	if err != nil {
		err = errors.Join(err, unix.Close(w.fd))
		w.fd = -1
	}
	return err
}

// size gives a file its length, and its blocks too where it has no holes and is large.
func (w *Writer) size() error {
	if w.e.Size < big || w.old == w.e.Size && !w.e.Sparse {
		return nil
	}
	if !w.e.Sparse {
		err := durable.Retry(func() error { return unix.Fallocate(w.fd, 0, 0, w.e.Size) })
		if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS) {
			return err
		}
	}
	if w.old == 0 {
		return durable.Retry(func() error { return unix.Ftruncate(w.fd, w.e.Size) })
	}
	return nil
}

// Old is how many bytes of old content there are, to be compared with what is wanted. Beyond it the file
// reads as zeros.
func (w *Writer) Old() int64 { return w.old }

// ReadAt reads what is there now. Short only with an error.
func (w *Writer) ReadAt(p []byte, off int64) (int, error) {
	n, err := preadFull(w.fd, p, off)
	if err != nil && n == len(p) {
		err = nil
	}
	return n, err
}

// Ahead has a range of old content read from the disk in one piece, before several readers come for it. It
// is advice, and does not wait.
func (w *Writer) Ahead(off, n int64) {
	if n = min(n, w.old-off); n >= aheadLeast {
		_ = unix.Fadvise(w.fd, off, n, unix.FADV_WILLNEED) // who reads is told what is wrong
	}
}

// WriteAt writes within the size of the entry, and has long pieces sent to the disk.
func (w *Writer) WriteAt(p []byte, off int64) (int, error) {
	if err := w.within(off, int64(len(p))); err != nil {
		return 0, err
	}
	done := 0
	if n := w.direct.part(p, off); n > 0 {
		var err error
		if done, err = w.direct.write(p[:n], off); err != nil {
			return done, failed("write", w.e.Path, err)
		}
	}
	n, err := w.cached(p[done:], off+int64(done))
	return done + n, err
}

// cached writes by way of the page cache.
func (w *Writer) cached(p []byte, off int64) (int, error) {
	done, err := pwriteFull(w.fd, p, off)
	if err != nil {
		return done, failed("write", w.e.Path, err)
	}
	if len(p) < startAt {
		return done, nil
	}
	err = unix.SyncFileRange(w.fd, off, int64(len(p)), unix.SYNC_FILE_RANGE_WRITE)
	if err == unix.ENOSYS || err == unix.EINVAL || err == unix.EOPNOTSUPP {
		err = nil // no more than a hint
	}
	return done, wrap("write", w.e.Path, err)
}

// within refuses what a damaged manifest asks for.
func (w *Writer) within(off, n int64) error {
	if off < 0 || n < 0 || off > w.e.Size-n {
		return fmt.Errorf("write %q: %w: %d bytes at %d of %d", w.e.Path, ErrHostile, n, off, w.e.Size)
	}
	return nil
}
