package fstree

import (
	"errors"
	"fmt"

	"github.com/interlock-run/interlock/internal/durable"
	"golang.org/x/sys/unix"
)

// widen lets the owner into a directory, and takes away what new files would inherit. Seal makes it what
// it shall be.
func (g *Target) widen(path string) error {
	fd, err := g.t.open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	return errors.Join(widenFd(fd), unix.Close(fd))
}

// widenFd works on a descriptor of O_PATH, so that no link can be put between.
func widenFd(fd int) error {
	st, err := statAt(fd, "")
	if err != nil {
		return err
	}
	if st.Mode&0o700 != 0o700 {
		if err := unix.Chmod(proc(fd), uint32(st.Mode)&0o7777|0o700); err != nil {
			return err
		}
	}
	err = unix.Removexattr(proc(fd), aclDefault)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPERM) {
		return nil // there is none, or it is another's directory that we may write to all the same
	}
	return err
}

// openWide is openDir that lets the owner in first.
func (t *Tree) openWide(dir int, name string) (int, error) {
	fd, err := t.openAt(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, err
	}
	err = widenFd(fd)
	if e := unix.Close(fd); err == nil {
		err = e
	}
	if err != nil {
		return -1, err
	}
	return t.openDir(dir, name)
}

// remove removes a file, or a directory with all that is in it; what is absent is no error.
func (g *Target) remove(path string) error {
	err := g.t.inParent(path, func(dir int, name string) error { return unix.Unlinkat(dir, name, 0) })
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EISDIR):
		return g.removeDir(path)
	}
	return wrap("remove", path, err)
}

func (g *Target) removeDir(path string) error {
	s := newStack(g.t)
	err := g.t.inParent(path, func(dir int, name string) error { return s.push(dir, name, path) })
	for err == nil && len(s.frames) > 0 {
		err = s.clear()
	}
	if err == nil {
		err = g.t.inParent(path, func(dir int, name string) error { return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR) })
	}
	return errors.Join(wrap("remove", path, err), s.close())
}

// push enters a directory that is going to be removed.
func (s *stack) push(dir int, name, path string) error {
	fd, err := s.t.openWide(dir, name)
	if err != nil {
		return err
	}
	return s.enter(path, name, fd)
}

// clear removes one thing from the present directory, or leaves it and removes it from the one above.
func (s *stack) clear() error {
	f := s.top()
	name, ok := f.names.take()
	if !ok {
		if err := s.leave(); err != nil || len(s.frames) == 0 {
			return err
		}
		return s.unlink(f.name, unix.AT_REMOVEDIR)
	}
	st, err := statAt(f.fd, name)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return err
	case s.t.otherMount(&st):
		return fmt.Errorf("%w: %q is a mount point in what is to be removed: unmount it first", ErrRefused, join(f.path, name))
	case kindOf(st.Mode) == Dir:
		return s.push(f.fd, name, join(f.path, name))
	}
	return s.unlink(name, 0)
}

func (s *stack) unlink(name string, flags int) error {
	err := durable.Retry(func() error { return unix.Unlinkat(s.top().fd, name, flags) })
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return wrap("remove", join(s.top().path, name), err)
}
