package fstree

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Bounds of what is accepted from a manifest.
const (
	MaxName      = 255       // bytes of one component
	MaxPath      = 64 << 10  // bytes of a path: longer than PATH_MAX, as trees can be
	maxTarget    = 4095      // bytes of a symbolic link
	maxXattrName = 255       // bytes
	maxXattr     = 64 << 10  // bytes of one value
	maxXattrs    = 256 << 10 // bytes of all values and names of one entry
)

// CheckPath tells whether a path is one that Walk could have made. All of a manifest passes here before it
// is used: Target's methods call it by themselves.
func CheckPath(path string) error {
	if path == Root {
		return nil
	}
	if len(path) > MaxPath {
		return fmt.Errorf("path of %d bytes: %w: expected at most %d", len(path), ErrHostile, MaxPath)
	}
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." || name == ".." || len(name) > MaxName || strings.IndexByte(name, 0) >= 0 {
			return fmt.Errorf("path %.300q: %w: expected names of 1 to %d bytes, none of them . or .. or with a NUL", path, ErrHostile, MaxName)
		}
	}
	return nil
}

// Check tells whether an entry is one that Walk could have made.
func (e *Entry) Check() error {
	if err := CheckPath(e.Path); err != nil {
		return err
	}
	bad := ""
	switch {
	case e.Kind < File || e.Kind > BlockDevice:
		bad = "an unknown kind"
	case e.Path == Root && e.Kind != Dir:
		bad = "a root that is no directory"
	case e.Mode&^0o7777 != 0:
		bad = "more than 12 bits of mode"
	case e.Size < 0 || e.Kind != File && e.Size != 0:
		bad = "a size that cannot be"
	case e.Mtime.Nsec >= 1e9:
		bad = "nanoseconds of a second or more"
	case e.UID == ^uint32(0) || e.GID == ^uint32(0):
		bad = "an owner of -1"
	case e.Kind == Symlink && e.Link == "" && (e.Target == "" || len(e.Target) > maxTarget || strings.IndexByte(e.Target, 0) >= 0):
		bad = "a link target that cannot be"
	}
	if bad != "" {
		return fmt.Errorf("%q: %w: %s", e.Path, ErrHostile, bad)
	}
	if err := e.checkLink(); err != nil {
		return err
	}
	return e.checkXattrs()
}

// checkLink: a hard link is to a name that came before it.
func (e *Entry) checkLink() error {
	if e.Link == "" {
		return nil
	}
	if err := CheckPath(e.Link); err != nil {
		return fmt.Errorf("%q: link to %w", e.Path, err)
	}
	if e.Kind == Dir || e.Link == Root || Compare(e.Link, e.Path) >= 0 {
		return fmt.Errorf("%q: %w: a hard link to %q, which is not an earlier file", e.Path, ErrHostile, e.Link)
	}
	return nil
}

func (e *Entry) checkXattrs() error {
	total, last := 0, ""
	for _, x := range e.Xattrs {
		total += len(x.Name) + len(x.Value)
		if !kept(x.Name) || len(x.Name) > maxXattrName || len(x.Value) > maxXattr || strings.IndexByte(x.Name, 0) >= 0 || x.Name <= last {
			return fmt.Errorf("%q: %w: extended attribute %.300q", e.Path, ErrHostile, x.Name)
		}
		last = x.Name
	}
	if total > maxXattrs {
		return fmt.Errorf("%q: %w: %d bytes of extended attributes: expected at most %d", e.Path, ErrHostile, total, maxXattrs)
	}
	return nil
}

// format is the file type of a kind, as in st_mode.
func (k Kind) format() uint32 {
	return [...]uint32{0, unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK, unix.S_IFIFO, unix.S_IFCHR, unix.S_IFBLK}[k]
}

// kindOf is the opposite; 0 for a socket and what we do not know.
func kindOf(mode uint16) Kind {
	for k := File; k <= BlockDevice; k++ {
		if uint32(mode)&unix.S_IFMT == k.format() {
			return k
		}
	}
	return 0
}
