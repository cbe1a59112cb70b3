package snapshot

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/interlock-run/interlock/internal/fstree"
	"golang.org/x/sys/unix"
)

// TreeItems gives all that a walk of a tree finds. An error of the walk is passed on with the path alone:
// who takes a live copy may leave out an entry that is fstree.Moving. A file that was not at rest while it
// was read is ErrChanged.
func TreeItems(t *fstree.Tree) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for e, err := range t.Walk() {
			item := Item{Entry: EntryOf(e)}
			if e.Kind == fstree.File && e.Link == "" {
				item.Open = func() (Content, error) { return openTreeFile(t, e) }
			}
			if !yield(item, err) {
				return
			}
		}
	}
}

// EntryOf is an entry of a tree as a snapshot has it.
func EntryOf(e fstree.Entry) Entry {
	s := Entry{Path: e.Path, Kind: kindOf(e.Kind), Mode: e.Mode, UID: e.UID, GID: e.GID,
		MTime: Time{e.Mtime.Sec, int64(e.Mtime.Nsec)}, Target: e.Target}
	for _, x := range e.Xattrs {
		s.Xattrs = append(s.Xattrs, Xattr(x))
	}
	if e.Link != "" {
		s.Kind, s.Target = Link, e.Link
		return s
	}
	switch e.Kind {
	case fstree.CharDevice, fstree.BlockDevice:
		s.Device = unix.Mkdev(e.Device.Major, e.Device.Minor)
	case fstree.File:
		s.File = FileInfo{Size: e.Size, CTime: Time{e.Ctime.Sec, int64(e.Ctime.Nsec)}, Inode: e.Ino, Sparse: e.Sparse, Racy: e.Fresh}
	}
	if e.Kind != fstree.Dir && e.Nlink > 1 {
		s.File.Links = e.Nlink
	}
	return s
}

func kindOf(k fstree.Kind) Kind {
	switch k {
	case fstree.Dir:
		return Dir
	case fstree.Symlink:
		return Symlink
	case fstree.FIFO:
		return FIFO
	case fstree.CharDevice:
		return Char
	case fstree.BlockDevice:
		return Block
	}
	return File
}

// Tree is the entry as a tree is made of it. Of a hard link the kind is that of a file: its target tells
// what it really is. A Stream has no place in a tree.
func (e *Entry) Tree() (fstree.Entry, error) {
	t := fstree.Entry{Path: e.Path, Size: e.File.Size, Sparse: e.File.Sparse}
	t.Mode, t.UID, t.GID = e.Mode, e.UID, e.GID
	t.Mtime = fstree.Time{Sec: e.MTime[0], Nsec: uint32(e.MTime[1])}
	t.Nlink = e.File.Links
	for _, x := range e.Xattrs {
		t.Xattrs = append(t.Xattrs, fstree.Xattr(x))
	}
	switch e.Kind {
	case File:
		t.Kind = fstree.File
	case Dir:
		t.Kind = fstree.Dir
	case Symlink:
		t.Kind, t.Target = fstree.Symlink, e.Target
	case Link:
		t.Kind, t.Link = fstree.File, e.Target
	case FIFO:
		t.Kind = fstree.FIFO
	case Char, Block:
		t.Kind = fstree.CharDevice
		if e.Kind == Block {
			t.Kind = fstree.BlockDevice
		}
		t.Device = fstree.Device{Major: unix.Major(e.Device), Minor: unix.Minor(e.Device)}
	default:
		return t, fmt.Errorf("entry %.200q is a %s: it can be piped into a command, not restored as a file of a tree", e.Path, e.Kind)
	}
	return t, nil
}

// A treeFile is an open file of a tree that says at its end whether it was at rest.
type treeFile struct{ *fstree.Reader }

func openTreeFile(t *fstree.Tree, e fstree.Entry) (Content, error) {
	r, err := t.Open(e)
	if err != nil {
		return nil, moving(err)
	}
	return treeFile{r}, nil
}

func (f treeFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.Reader.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = moving(err)
	}
	return n, err
}

func (f treeFile) Close() error { return errors.Join(moving(f.Check()), f.Reader.Close()) }

// moving adds ErrChanged to what it is.
func moving(err error) error {
	if fstree.Moving(err) {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return err
}
