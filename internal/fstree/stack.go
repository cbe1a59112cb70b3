package fstree

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// heldOpen is how many directories of a path are held open at once: depth costs no descriptors.
const heldOpen = 48

// A frame is a directory on the way from the root to where a stack is.
type frame struct {
	path  string
	name  string
	fd    int // -1: closed for now
	st    unix.Statx_t
	names names
}

// A stack is the way from a directory down to the one that is being listed. It is a loop's state instead
// of a recursion's, so that depth costs little.
type stack struct {
	t      *Tree
	frames []*frame
	buf    []byte
}

func newStack(t *Tree) *stack { return &stack{t: t, buf: make([]byte, 64<<10)} }

func (s *stack) top() *frame { return s.frames[len(s.frames)-1] }

// enter goes down into a directory, which the caller has opened and which now is the stack's, and lists it.
func (s *stack) enter(path, name string, fd int) error {
	st, err := statAt(fd, "")
	f := &frame{path: path, name: name, fd: fd, st: st}
	if err == nil {
		f.names, err = list(fd, s.buf)
	}
	s.frames = append(s.frames, f)
	if n := len(s.frames) - heldOpen; n > 0 && s.frames[n-1].fd >= 0 {
		old := s.frames[n-1]
		err = errors.Join(err, unix.Close(old.fd))
		old.fd = -1
	}
	if err != nil {
		return failed("list directory", path, err)
	}
	return nil
}

// leave goes up one directory. If that one had been closed it is opened again, by its path: whether it
// is the one that it was is checked, not believed.
func (s *stack) leave() error {
	old := s.top()
	s.frames = s.frames[:len(s.frames)-1]
	err := s.shut(old)
	if len(s.frames) == 0 || s.top().fd >= 0 {
		return err
	}
	if e := s.again(s.top()); e != nil {
		s.top().names = names{} // nothing more is looked for in it
		err = errors.Join(err, e)
	}
	return err
}

func (s *stack) again(f *frame) (err error) {
	f.fd, err = s.t.open(f.path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		f.fd = -1
		return failed("open directory again", f.path, err)
	}
	st, err := statAt(f.fd, "")
	if err != nil {
		return failed("stat", f.path, err)
	}
	if !sameInode(&st, &f.st) {
		return fmt.Errorf("directory %q: %w: it was moved: end whatever works in the tree", f.path, ErrVanished)
	}
	return nil
}

func (s *stack) shut(f *frame) error {
	if f.fd < 0 {
		return nil
	}
	if err := unix.Close(f.fd); err != nil {
		return failed("close directory", f.path, err)
	}
	return nil
}

// close frees what is left of it.
func (s *stack) close() error {
	var err error
	for _, f := range s.frames {
		err = errors.Join(err, s.shut(f))
	}
	s.frames = nil
	return err
}

func sameInode(a, b *unix.Statx_t) bool {
	return a.Ino == b.Ino && a.Dev_major == b.Dev_major && a.Dev_minor == b.Dev_minor
}
