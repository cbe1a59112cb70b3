package fstree

import (
	"errors"

	"github.com/interlock-run/interlock/internal/durable"
	"golang.org/x/sys/unix"
)

// Hole makes a range read as zeros, without blocks where the filesystem can: data that lies there is
// punched out, and nothing is done where none lies.
func (w *Writer) Hole(off, n int64) error {
	if err := w.within(off, n); err != nil {
		return err
	}
	if n == 0 || w.old <= off {
		return nil // never written
	}
	run, err := nextRun(w.fd, off, off+n)
	if err != nil {
		return failed("look for holes in", w.e.Path, err)
	}
	if run.Len == 0 {
		return nil
	}
	mode := uint32(unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE)
	err = durable.Retry(func() error { return unix.Fallocate(w.fd, mode, off, n) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return w.zero(off, n)
	}
	return wrap("punch a hole into", w.e.Path, err)
}

// zero writes zeros where data lies.
func (w *Writer) zero(off, n int64) error {
	zeros := make([]byte, 64<<10)
	for end := off + n; off < end; {
		run, err := nextRun(w.fd, off, end)
		if err != nil || run.Len == 0 {
			return wrap("look for holes in", w.e.Path, err)
		}
		piece := min(run.Len, int64(len(zeros)))
		if _, err := w.WriteAt(zeros[:piece], run.Off); err != nil {
			return err
		}
		off = run.Off + piece
	}
	return nil
}

// Finish gives the file its length, owner, attributes, mode and times, and closes it.
func (w *Writer) Finish() error {
	st, err := statAt(w.fd, "")
	if err == nil && int64(st.Size) != w.e.Size {
		if err = durable.Retry(func() error { return unix.Ftruncate(w.fd, w.e.Size) }); err == nil {
			st, err = statAt(w.fd, "") // that changed its times
		}
	}
	if err != nil {
		err = failed("set the length of", w.e.Path, err)
	} else {
		err = w.g.dressFile(w.fd, &w.e, &st)
	}
	return errors.Join(err, w.Close())
}

// Close gives up the file as it is. After Finish it does nothing.
func (w *Writer) Close() error {
	if w.fd < 0 {
		return nil
	}
	fd, direct := w.fd, w.direct
	w.fd, w.direct = -1, nil
	return wrap("close", w.e.Path, errors.Join(direct.close(), unix.Close(fd)))
}
