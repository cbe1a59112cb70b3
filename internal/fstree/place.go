package fstree

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Place makes a directory, a symbolic link, a FIFO, a device or a hard link. A directory gets its owner,
// mode, attributes and times later, by Seal.
func (g *Target) Place(e Entry) error {
	if err := g.accept(&e); err != nil {
		return err
	}
	switch {
	case e.Kind == File && e.Link == "":
		return fmt.Errorf("place %q: it is a file: expected it at Create", e.Path)
	case e.Link != "":
		return g.hardLink(&e)
	case e.Kind == Dir:
		return g.dir(&e)
	}
	return g.special(&e)
}

func (g *Target) dir(e *Entry) error {
	if e.Path == Root {
		return nil // Begin saw to it
	}
	mkdir := func(dir int, name string) error { return unix.Mkdirat(dir, name, 0o700) }
	err := g.t.inParent(e.Path, mkdir)
	if errors.Is(err, unix.EEXIST) {
		if !g.ours {
			return fmt.Errorf("make directory %q: %w", e.Path, ErrForeign)
		}
		st, err := g.look(e.Path)
		if err != nil {
			return failed("stat", e.Path, err)
		}
		if kindOf(st.Mode) == Dir {
			return wrap("open up directory", e.Path, g.widen(e.Path))
		}
		if err := g.remove(e.Path); err != nil {
			return err
		}
		return wrap("make directory", e.Path, g.t.inParent(e.Path, mkdir))
	}
	return wrap("make directory", e.Path, err)
}

// special makes what has no content and is no directory, unless it is there already.
func (g *Target) special(e *Entry) error {
	path := g.where(e.Path)
	there, err := g.vacate(path, e)
	if err != nil {
		return err
	}
	if !there {
		err := g.t.inParent(path, func(dir int, name string) error { return g.mknod(dir, name, e) })
		if errors.Is(err, unix.EPERM) && (e.Kind == CharDevice || e.Kind == BlockDevice) {
			g.t.note(NoteDevice, e.Path, "only root may make one")
			return nil
		}
		if err != nil {
			return failed("make "+e.Kind.String(), e.Path, err)
		}
	}
	fd, err := g.t.open(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return failed("open", e.Path, err)
	}
	err = g.dress(fd, e, e.Mode)
	g.made(e.Path)
	return errors.Join(err, wrap("close", e.Path, unix.Close(fd)))
}

func (g *Target) mknod(dir int, name string, e *Entry) error {
	switch {
	case e.Kind == Symlink:
		return unix.Symlinkat(e.Target, dir, name)
	case e.Kind != FIFO && !g.root:
		return unix.EPERM
	}
	dev := unix.Mkdev(e.Device.Major, e.Device.Minor)
	return unix.Mknodat(dir, name, e.Kind.format()|0o600, int(dev))
}

// vacate removes what lies where an entry shall be made, and tells whether it is that entry already. A name
// of an inode with several is removed too: the others may lie anywhere.
func (g *Target) vacate(path string, e *Entry) (bool, error) {
	st, err := g.look(path)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, failed("stat", path, err)
	}
	if !g.ours {
		return false, fmt.Errorf("%q: %w", path, ErrForeign)
	}
	old := entryOf(path, &st)
	same := old.Kind == e.Kind && old.Nlink == 1 && !g.t.otherMount(&st) && old.Device == e.Device
	if same && e.Kind == Symlink {
		err := g.t.inParent(path, func(dir int, name string) (err error) {
			old.Target, err = readlink(dir, name)
			return err
		})
		same = err == nil && old.Target == e.Target
	}
	if same {
		return true, nil
	}
	return false, g.remove(path)
}

// hardLink gives an inode that was made before another name.
func (g *Target) hardLink(e *Entry) error {
	from, to := g.where(e.Link), g.where(e.Path)
	first, err := g.look(from)
	if err != nil {
		return failed("find the first name of "+e.Path, e.Link, err)
	}
	if kindOf(first.Mode) != e.Kind {
		return fmt.Errorf("%q: %w: a hard link to %q, which is no %s", e.Path, ErrHostile, e.Link, e.Kind)
	}
	old, err := g.look(to)
	switch {
	case err == nil && !g.ours:
		return fmt.Errorf("%q: %w", e.Path, ErrForeign)
	case err == nil && sameInode(&old, &first):
		g.made(e.Path)
		return nil
	case err == nil:
		err = g.remove(to)
	case errors.Is(err, unix.ENOENT):
		err = nil
	}
	if err != nil {
		return failed("make way for hard link", e.Path, err)
	}
	err = g.t.inParent(from, func(fromDir int, fromName string) error {
		return g.t.inParent(to, func(dir int, name string) error { return unix.Linkat(fromDir, fromName, dir, name, 0) })
	})
	if err == nil {
		g.made(e.Path)
	}
	return wrap("make hard link to "+e.Link+" at", e.Path, err)
}

// wrap is failed that lets nil through.
func wrap(what, path string, err error) error {
	if err == nil {
		return nil
	}
	return failed(what, path, err)
}
