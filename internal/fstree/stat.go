package fstree

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// racy is how old a change must be before its times can be trusted to differ from those of the next one.
// Filesystems stamp in ticks of 1 to 10 ms, some of 1 or 2 s, and a server's clock may differ.
const racy = 2 * time.Second

func timeOf(t unix.StatxTimestamp) Time { return Time{Sec: t.Sec, Nsec: t.Nsec} }

// entry makes the entry of a name in a directory; name "" is the directory itself. Kind 0: skipped, and
// noted unless the walk is bare.
func (w *walker) entry(dir int, name, path string) (Entry, error) {
	st, err := statAt(dir, name)
	if err != nil {
		return Entry{}, failed("stat", path, err)
	}
	e := entryOf(path, &st)
	if w.bare {
		if w.t.otherMount(&st) {
			return e, fmt.Errorf("%q: %w: it is a mount point: unmount it first", path, ErrRefused)
		}
		return e, nil
	}
	if k, detail := w.t.unkept(&st, e.Kind); k != "" {
		w.note(k, path, detail)
		return Entry{}, nil
	}
	if f := flagNames(st.Attributes); f != "" {
		w.note(NoteFlags, path, f)
	}
	if e.Kind == Symlink {
		if e.Target, err = readlink(dir, name); err != nil {
			return e, failed("read link", path, err)
		}
	}
	if e.Kind != Dir && e.Nlink > 1 {
		e.Link = w.links.first(&e)
	}
	if e.Link == "" && !w.again {
		e.Xattrs, err = w.xattrs(name, path)
	}
	return e, err
}

func (w *walker) note(k NoteKind, path, detail string) {
	if !w.again {
		w.t.note(k, path, detail)
	}
}

// unkept tells what is no part of a copy.
func (t *Tree) unkept(st *unix.Statx_t, k Kind) (NoteKind, string) {
	switch {
	case t.otherMount(st):
		return NoteMount, ""
	case k != 0:
		return "", ""
	case st.Mode&unix.S_IFMT == unix.S_IFSOCK:
		return NoteSocket, ""
	}
	return NoteUnknown, fmt.Sprintf("mode %o", st.Mode)
}

// entryOf is what statx alone tells.
func entryOf(path string, st *unix.Statx_t) Entry {
	e := Entry{
		Path: path, Kind: kindOf(st.Mode),
		Meta: Meta{Mode: uint32(st.Mode) & 0o7777, UID: st.Uid, GID: st.Gid, Mtime: timeOf(st.Mtime)},
		Stamp: Stamp{
			Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino,
			Ctime: timeOf(st.Ctime), Nlink: st.Nlink,
		},
	}
	e.Fresh = time.Since(e.Ctime.Std()) < racy
	switch e.Kind {
	case File:
		e.Size = int64(st.Size)
		e.Sparse = int64(st.Blocks)*512 < e.Size
	case CharDevice, BlockDevice:
		e.Device = Device{Major: st.Rdev_major, Minor: st.Rdev_minor}
	}
	return e
}

// flagNames names what chattr or the filesystem set and a copy will not have.
func flagNames(bits uint64) string {
	flags := []struct {
		bit  uint64
		name string
	}{
		{unix.STATX_ATTR_IMMUTABLE, "immutable"},
		{unix.STATX_ATTR_APPEND, "append only"},
		{unix.STATX_ATTR_NODUMP, "nodump"},
		{unix.STATX_ATTR_COMPRESSED, "compressed"},
		{unix.STATX_ATTR_ENCRYPTED, "encrypted"},
		{unix.STATX_ATTR_VERITY, "verity"},
	}
	var set []string
	for _, f := range flags {
		if bits&f.bit != 0 {
			set = append(set, f.name)
		}
	}
	return strings.Join(set, ", ")
}

func readlink(dir int, name string) (string, error) {
	buf := make([]byte, maxTarget+1)
	n, err := unix.Readlinkat(dir, name, buf)
	if err == nil && n > maxTarget {
		err = unix.ENAMETOOLONG
	}
	if err != nil {
		// It was a link a moment ago.
		if errors.Is(err, unix.EINVAL) {
			err = unix.ENOENT
		}
		return "", err
	}
	return string(buf[:n]), nil
}

// links remembers the first name of each inode with several, until all its names were seen.
type links struct{ open map[[2]uint64]*link }

type link struct {
	path string
	left uint32
}

// first is the path of the first name of an inode, or "" if this is it.
func (l *links) first(e *Entry) string {
	key := [2]uint64{e.Dev, e.Ino}
	if old := l.open[key]; old != nil {
		if old.left--; old.left == 0 {
			delete(l.open, key)
		}
		return old.path
	}
	if l.open == nil {
		l.open = map[[2]uint64]*link{}
	}
	l.open[key] = &link{path: e.Path, left: e.Nlink - 1}
	return ""
}
