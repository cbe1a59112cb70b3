package fstree

import (
	"errors"
	"fmt"
	"os"

	"github.com/interlock-run/interlock/internal/durable"
	"golang.org/x/sys/unix"
)

// Options of a tree that is read or made.
type Options struct {
	// Exclude are patterns as of path.Match. With a slash in it a pattern stands for a whole path from
	// the root ("/a" for a in the root), without one for a name anywhere; what lies below is excluded
	// too. .interlock, .interlock-volume and lost+found in the root are always excluded.
	Exclude     []string
	CrossMounts bool       // go on into other mounts below
	Note        func(Note) // what is not kept or restored; never called twice at once; may be nil
}

// A Tree is an open directory, read as a whole. Walk is for one goroutine at a time, Open for many.
type Tree struct {
	path    string
	fd      int
	root    unix.Statx_t
	resolve uint64
	skip    excludes
	noter
}

// Open opens a directory by its real path.
func Open(root string, o Options) (*Tree, error) {
	skip, err := parseExcludes(o.Exclude)
	if err != nil {
		return nil, err
	}
	fd := -1
	err = durable.Retry(func() (err error) {
		fd, err = unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if errors.Is(err, unix.ENOTDIR) && isLink(root) {
		return nil, fmt.Errorf("open directory %q: %w: it is a symbolic link: name the directory that it leads to", root, err)
	}
	if err != nil {
		return nil, failed("open directory", root, err)
	}
	t := &Tree{path: root, fd: fd, resolve: resolve(o.CrossMounts), skip: skip, noter: noter{f: o.Note}}
	if err := t.setup(); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return t, nil
}

// isLink tells whether a path is a symbolic link. One that cannot be looked at is none.
func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&os.ModeSymlink != 0
}

// setup finds out at once whether the system has what is needed, instead of at the first odd file.
func (t *Tree) setup() error {
	st, err := statAt(t.fd, "")
	if err != nil {
		return failed("stat", t.path, err)
	}
	t.root = st
	if st.Mask&unix.STATX_MNT_ID == 0 {
		return fmt.Errorf("%q: %w: the kernel does not tell mount points: expected Linux 5.8 or later", t.path, ErrSetup)
	}
	fd, err := t.openAt(t.fd, ".", unix.O_PATH|unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%q: %w: openat2: %w: expected Linux 5.6 or later and a seccomp profile that allows it", t.path, ErrSetup, err)
	}
	if err != nil {
		return failed("open", t.path, err)
	}
	var through unix.Stat_t
	err = unix.Stat(proc(fd), &through)
	if err := errors.Join(err, unix.Close(fd)); err != nil || through.Ino != st.Ino {
		return fmt.Errorf("%q: %w: /proc/self/fd does not lead to open files (%v): mount proc on /proc", t.path, ErrSetup, err)
	}
	return nil
}

// Close frees the directory. No File of it may be in use.
func (t *Tree) Close() error {
	if err := unix.Close(t.fd); err != nil {
		return &os.PathError{Op: "close", Path: t.path, Err: err}
	}
	return nil
}

// Path is the path it was opened by.
func (t *Tree) Path() string { return t.path }

// otherMount tells whether something lies on another mount than the root, and that matters.
func (t *Tree) otherMount(st *unix.Statx_t) bool {
	return t.resolve&unix.RESOLVE_NO_XDEV != 0 && st.Mnt_id != t.root.Mnt_id
}
