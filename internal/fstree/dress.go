package fstree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// dress gives what a descriptor is open on (also one of O_PATH) what an entry says, but mode: attributes
// that must go, owner, attributes (a change of owner removes capabilities), mode, ACLs (which the mode
// would change), times last.
func (g *Target) dress(fd int, e *Entry, mode uint32) error {
	st, err := statAt(fd, "")
	if err != nil {
		return failed("stat", e.Path, err)
	}
	d := &dresser{g: g, fd: fd, at: proc(fd), e: e, mode: mode}
	return d.do(&st)
}

// dressFile is dress of a file that is open for real and was just looked at.
func (g *Target) dressFile(fd int, e *Entry, st *unix.Statx_t) error {
	d := &dresser{g: g, fd: fd, at: proc(fd), real: true, e: e, mode: e.Mode}
	return d.do(st)
}

func (d *dresser) do(st *unix.Statx_t) error {
	for _, step := range []func(*unix.Statx_t) error{d.strip, d.own, d.attributes, d.chmod, d.acls, d.times} {
		err := step(st)
		if d.e.Path == Root && !d.g.root && errors.Is(err, unix.EPERM) {
			// A volume's root is often another's that we may only write to: whoever made it chose what it is.
			d.g.t.note(NoteRoot, Root, "it belongs to another user")
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A dresser is one call of dress.
type dresser struct {
	g       *Target
	fd      int
	at      string
	real    bool // fd is not one of O_PATH: calls that take it are quicker than those that take at
	e       *Entry
	mode    uint32
	have    []Xattr
	touched bool // something changed that changes mode or times
}

// strip removes attributes that are not wanted: old ones, and ACLs that a new file inherited.
func (d *dresser) strip(*unix.Statx_t) error {
	if d.real {
		if n, err := unix.Flistxattr(d.fd, nil); err == nil && n == 0 {
			return nil
		}
	}
	have, _, err := readXattrs(d.at, false)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	if err != nil {
		return failed("list extended attributes", d.e.Path, err)
	}
	for _, x := range have {
		if slices.ContainsFunc(d.e.Xattrs, func(w Xattr) bool { return w.Name == x.Name }) {
			d.have = append(d.have, x)
			continue
		}
		if !ownXattr(x.Name) {
			continue
		}
		err := unix.Removexattr(d.at, x.Name)
		if err != nil && !errors.Is(err, unix.ENODATA) && (d.g.root || !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES)) {
			return failed("remove extended attribute "+x.Name, d.e.Path, err)
		}
		d.touched = true
	}
	return nil
}

// ownXattr tells whether an attribute that is not wanted is removed. Labels of security modules are their
// own affair.
func ownXattr(name string) bool {
	return len(name) < 9 || name[:9] != "security." || name == "security.capability"
}

// own sets the owner. Who is not root tries, and keeps no set-id bits for the wrong owner.
func (d *dresser) own(st *unix.Statx_t) error {
	if st.Uid == d.e.UID && st.Gid == d.e.GID {
		return nil
	}
	err := unix.Fchownat(d.fd, "", int(d.e.UID), int(d.e.GID), unix.AT_EMPTY_PATH)
	d.touched = true
	if err == nil {
		return nil
	}
	if d.g.root || !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EINVAL) {
		return failed(fmt.Sprintf("set owner %d:%d of", d.e.UID, d.e.GID), d.e.Path, err)
	}
	d.g.t.note(NoteOwner, d.e.Path, fmt.Sprintf("%d:%d: only root may", d.e.UID, d.e.GID))
	// The group alone may be one of ours.
	if st.Gid != d.e.GID {
		err = unix.Fchownat(d.fd, "", -1, int(d.e.GID), unix.AT_EMPTY_PATH)
		if err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EINVAL) {
			return failed("set group of", d.e.Path, err)
		}
	}
	if d.e.Kind != Dir && d.mode&0o6000 != 0 {
		d.mode &^= 0o6000
		d.g.t.note(NoteSetID, d.e.Path, "its owner could not be restored")
	}
	return nil
}

func (d *dresser) attributes(*unix.Statx_t) error {
	for _, x := range d.e.Xattrs {
		if isACL(x.Name) {
			continue
		}
		if err := d.set(x); err != nil {
			return err
		}
	}
	return nil
}

func (d *dresser) set(x Xattr) error {
	// The owner was perhaps set meanwhile, which takes capabilities away: those are always set.
	same := func(h Xattr) bool { return h.Name == x.Name && string(h.Value) == string(x.Value) }
	if slices.ContainsFunc(d.have, same) && (x.Name != "security.capability" || !d.touched) && (!isACL(x.Name) || !d.touched) {
		return nil
	}
	err := unix.Setxattr(d.at, x.Name, x.Value, 0)
	d.touched = true
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES),
		errors.Is(err, unix.EINVAL), errors.Is(err, unix.E2BIG), errors.Is(err, unix.ERANGE):
		d.g.t.note(NoteLost, d.e.Path, x.Name+": "+err.Error())
		if x.Name == aclAccess {
			return d.tighten(x.Value)
		}
		return nil
	}
	return failed("set extended attribute "+x.Name, d.e.Path, err)
}

// tighten: with an ACL the mode's group bits are a bound for many. Without it they would give the group
// itself more than it had.
func (d *dresser) tighten(acl []byte) error {
	const groupObj = 4
	for entry := acl[min(4, len(acl)):]; len(entry) >= 8; entry = entry[8:] {
		if binary.LittleEndian.Uint16(entry) == groupObj {
			bits := uint32(binary.LittleEndian.Uint16(entry[2:])) & 7
			return wrap("set mode of", d.e.Path, unix.Chmod(d.at, d.mode&^0o070|d.mode&(bits<<3)))
		}
	}
	return nil
}

func (d *dresser) chmod(st *unix.Statx_t) error {
	if d.e.Kind == Symlink || uint32(st.Mode)&0o7777 == d.mode && !d.touched {
		return nil
	}
	d.touched = true
	if err := d.setMode(); err != nil {
		return failed("set mode of", d.e.Path, err)
	}
	if d.mode&0o2000 == 0 || d.g.root {
		return nil
	}
	now, err := statAt(d.fd, "") // without a word the bit is left out for a group that is not ours
	if err == nil && uint32(now.Mode)&0o7777 != d.mode {
		d.g.t.note(NoteSetID, d.e.Path, "its group is not ours")
	}
	return wrap("stat", d.e.Path, err)
}

func (d *dresser) setMode() error {
	if d.real {
		return unix.Fchmod(d.fd, d.mode)
	}
	return unix.Chmod(d.at, d.mode)
}

func (d *dresser) acls(*unix.Statx_t) error {
	for _, x := range d.e.Xattrs {
		if isACL(x.Name) {
			if err := d.set(x); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *dresser) times(st *unix.Statx_t) error {
	if timeOf(st.Mtime) == d.e.Mtime {
		return nil // nothing above touches it
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: d.e.Mtime.Sec, Nsec: int64(d.e.Mtime.Nsec)}}
	err := unix.UtimesNanoAt(d.fd, "", times, unix.AT_EMPTY_PATH)
	return wrap("set times of", d.e.Path, err)
}
