package fstree

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Names of the two attributes that are POSIX ACLs.
const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"
)

// kept tells whether attributes of this name are part of a copy: those of the user, of root, of the
// security modules, and POSIX ACLs. What else filesystems show as attributes is their own state.
func kept(name string) bool {
	for _, p := range []string{"user.", "trusted.", "security."} {
		if strings.HasPrefix(name, p) && len(name) > len(p) {
			return true
		}
	}
	return isACL(name)
}

func isACL(name string) bool { return name == aclAccess || name == aclDefault }

// xattrs reads the attributes of a name in the present directory. By its path through /proc: that needs no
// right to open the file, follows nothing, and works for links, FIFOs and devices too.
func (w *walker) xattrs(name, path string) ([]Xattr, error) {
	if w.dumb {
		return nil, nil
	}
	at := w.fds
	if name != "" {
		at += "/" + name
	}
	found, lost, err := readXattrs(at, name != "")
	if errors.Is(err, unix.EOPNOTSUPP) && name == "" {
		w.dumb = w.t.resolve&unix.RESOLVE_NO_XDEV != 0 // the root has none, and there is no other filesystem
		return nil, nil
	}
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	for _, l := range lost {
		w.t.note(NoteXattr, path, l)
	}
	if err != nil {
		return nil, failed("list extended attributes", path, err)
	}
	return found, nil
}

// readXattrs gives the attributes to keep, sorted, and says which others there are.
func readXattrs(at string, link bool) (found []Xattr, lost []string, err error) {
	names, err := listXattrs(at, link)
	if err != nil {
		return nil, nil, err
	}
	total := 0
	for _, name := range names {
		if !kept(name) {
			lost = append(lost, name+": not of a kind that is kept")
			continue
		}
		value, err := getXattr(at, name, link)
		if total += len(name) + len(value); err == nil && total > maxXattrs {
			err = unix.E2BIG
		}
		switch {
		case errors.Is(err, unix.ENODATA):
		case errors.Is(err, unix.EIO), errors.Is(err, unix.ESTALE), errors.Is(err, unix.ENOENT):
			return nil, lost, err
		case err != nil:
			lost = append(lost, name+": "+err.Error())
		default:
			found = append(found, Xattr{Name: name, Value: value})
		}
	}
	slices.SortFunc(found, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	return found, lost, nil
}

func listXattrs(at string, link bool) ([]string, error) {
	var small [256]byte
	buf := small[:]
	n, err := callXattr(&buf, func(b []byte) (int, error) {
		if link {
			return unix.Llistxattr(at, b)
		}
		return unix.Listxattr(at, b)
	})
	if err != nil || n == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00"), nil
}

func getXattr(at, name string, link bool) ([]byte, error) {
	buf := make([]byte, 128)
	n, err := callXattr(&buf, func(b []byte) (int, error) {
		if link {
			return unix.Lgetxattr(at, name, b)
		}
		return unix.Getxattr(at, name, b)
	})
	if err != nil {
		return nil, err
	}
	return buf[:n:n], nil
}

// callXattr tries again with as much room as the kernel may need: 64 KiB bounds lists and values.
func callXattr(buf *[]byte, call func([]byte) (int, error)) (int, error) {
	n, err := call(*buf)
	for tries := 0; err == unix.EINTR && tries < 1000; tries++ {
		n, err = call(*buf)
	}
	if err == unix.ERANGE && len(*buf) < maxXattr {
		*buf = make([]byte, maxXattr)
		return call(*buf)
	}
	return n, err
}
