package fstree

import (
	"cmp"
	"strings"
	"time"
)

// Root is the path of the root of a tree.
const Root = "."

// A Kind is what an entry is.
type Kind uint8

// Kinds of entries. Sockets are none: a service makes its own.
const (
	File Kind = iota + 1
	Dir
	Symlink
	FIFO
	CharDevice
	BlockDevice
)

// String is the name of a kind in messages and manifests.
func (k Kind) String() string {
	names := [...]string{"unknown", "file", "dir", "symlink", "fifo", "chardev", "blockdev"}
	if int(k) >= len(names) {
		return names[0]
	}
	return names[k]
}

// A Time is a point in time as filesystems store it, beyond what 64 bits of nanoseconds hold.
type Time struct {
	Sec  int64
	Nsec uint32
}

// Std is the same as time.Time.
func (t Time) Std() time.Time { return time.Unix(t.Sec, int64(t.Nsec)) }

// An Xattr is an extended attribute. POSIX ACLs are two of them.
type Xattr struct {
	Name  string
	Value []byte
}

// Meta is what every kind of entry has. A symbolic link's mode is not restored: it has none.
type Meta struct {
	Mode     uint32 // the 12 bits of permissions, set-id and sticky
	UID, GID uint32
	Mtime    Time
	Xattrs   []Xattr // by name
}

// A Stamp tells one state of one inode from another. It is never restored.
type Stamp struct {
	Dev, Ino uint64
	Ctime    Time
	Nlink    uint32
	Fresh    bool // changed so shortly before the look that a later change may bear the same times: do not trust the stamp
}

// An Entry is one name in a tree.
type Entry struct {
	Path   string // from the root, of any bytes but NUL, components divided by single slashes; Root itself
	Kind   Kind
	Size   int64  // of a file, in bytes
	Sparse bool   // file: it has fewer blocks than bytes, so holes are worth a look
	Target string // of a symbolic link
	Link   string // path of the first name of the same inode; then there is no content of its own
	Device Device
	Meta
	Stamp
}

// A Device is the number of a device node.
type Device struct{ Major, Minor uint32 }

// Same tells whether two stamps with the same size and mtime are of one unchanged state: such a file need
// not be read again.
func (s Stamp) Same(o Stamp) bool {
	return !s.Fresh && !o.Fresh && s.Dev == o.Dev && s.Ino == o.Ino && s.Ctime == o.Ctime
}

// Compare gives the order of a stream: by components, each byte by byte, a directory before what is in
// it. So Root comes first, then "a", "a/b", "a-b": it is the byte order of paths in which the slash is
// less than any other byte.
func Compare(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == Root:
		return -1
	case b == Root:
		return 1
	}
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	if i == n {
		return cmp.Compare(len(a), len(b))
	}
	return cmp.Compare(rank(a[i]), rank(b[i]))
}

// rank makes the slash the least byte. NUL, which it shares its rank with, is in no path.
func rank(b byte) byte {
	if b == '/' {
		return 0
	}
	return b
}

// Below tells whether a path lies strictly below a directory of the same tree.
func Below(dir, path string) bool {
	if dir == Root {
		return path != Root
	}
	return len(path) > len(dir) && path[len(dir)] == '/' && path[:len(dir)] == dir
}

// join is the path of a name in a directory.
func join(dir, name string) string {
	if dir == Root {
		return name
	}
	return dir + "/" + name
}

// split is the opposite of join.
func split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return Root, path
	}
	return path[:i], path[i+1:]
}
