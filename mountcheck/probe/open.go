package probe

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// open opens the root of the mount that is meant.
func (c *call) open() (root int, r Reply) {
	c.enter(StageOpen)
	root, err := unix.Open(c.req.Path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, c.fail(err)
	}
	if c.got, err = Identify(root); err != nil {
		r = c.fail(err)
	} else if !c.req.Want.Same(c.got) {
		r = c.status(StatusOther, nil)
	}
	if r.Status != StatusOK {
		unix.Close(root)
	}
	return root, r
}

// on takes a step on the opened root of the right mount.
func (c *call) on(root int) Reply {
	switch c.step.Op {
	case OpStatfs:
		return c.statfs(root)
	case OpSentinel:
		return c.sentinel(root)
	case OpRead:
		c.enter(StageRead)
		return c.file(root, c.step.Rel, int(min(c.step.Limit, MaxRead)))
	case OpWrite:
		return c.write(root)
	case OpInit:
		return c.initVolume(root)
	case OpUUID:
		return c.uuid(root)
	}
	return c.fail(unix.ENOSYS)
}

// Identify names the mount of an open descriptor (O_PATH will do) without asking its filesystem.
func Identify(fd int) (Ident, error) {
	const flags = unix.AT_EMPTY_PATH | unix.AT_STATX_DONT_SYNC | unix.AT_NO_AUTOMOUNT
	var st unix.Statx_t
	if err := unix.Statx(fd, "", flags, unix.STATX_TYPE|unix.STATX_MNT_ID, &st); err != nil {
		return identifyOld(fd, err)
	}
	id := Ident{Major: st.Dev_major, Minor: st.Dev_minor}
	if st.Mask&unix.STATX_MNT_ID != 0 {
		id.ID = st.Mnt_id
	}
	if err := unix.Statx(fd, "", flags, unix.STATX_MNT_ID_UNIQUE, &st); err != nil {
		return id, err
	}
	if st.Mask&unix.STATX_MNT_ID_UNIQUE != 0 {
		id.Unique = st.Mnt_id
	}
	return id, nil
}

// identifyOld is for kernels and sandboxes without statx.
func identifyOld(fd int, cause error) (Ident, error) {
	if cause != unix.ENOSYS && cause != unix.EPERM {
		return Ident{}, cause
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return Ident{}, err
	}
	return Ident{Major: unix.Major(uint64(st.Dev)), Minor: unix.Minor(uint64(st.Dev))}, nil
}

// resolve follows a path to its end. It is not bound to a mount: its answer names the one that it found.
func (c *call) resolve() Reply {
	c.enter(StageOpen)
	fd, err := unix.Open(c.req.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return c.fail(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return c.fail(err)
	}
	if c.got, err = Identify(fd); err != nil {
		return c.fail(err)
	}
	real, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return c.fail(err)
	}
	return c.done(Found{Dir: st.Mode&unix.S_IFMT == unix.S_IFDIR, Real: real}.encode())
}
