package probe

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sentinel is the file in the root of a mount that holds its volume id.
const Sentinel = ".interlock-volume"

// MaxSentinel bounds the sentinel file.
const MaxSentinel = 4096

const block = 4096

func (c *call) sentinel(root int) Reply {
	c.enter(StageSentinel)
	return c.file(root, Sentinel, MaxSentinel)
}

func (c *call) statfs(root int) Reply {
	s, err := c.space(root)
	if err == nil && c.step.Rel != "" {
		s, err = c.spaceBelow(root, s)
	}
	if err != nil {
		return c.fail(err)
	}
	return c.done(s.encode())
}

func (c *call) space(fd int) (Space, error) {
	c.enter(StageStatfs)
	var st unix.Statfs_t
	err := retry(func() error { return unix.Fstatfs(fd, &st) })
	unit := st.Frsize
	if unit == 0 {
		unit = st.Bsize
	}
	return Space{Unit: uint64(unit), Blocks: st.Blocks, Avail: st.Bavail, Files: st.Files, Free: st.Ffree, ReadOnly: st.Flags&unix.ST_RDONLY != 0}, err
}

// spaceBelow asks a directory below, where a quota of its project can leave less. One that cannot be
// opened, or is on another mount, has nothing to say: that is for others to find.
func (c *call) spaceBelow(root int, whole Space) (Space, error) {
	c.enter(StageDir)
	dir, err := unix.Openat(root, c.step.Rel, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return whole, nil
	}
	defer unix.Close(dir)
	if r := c.inside(dir); r.Status != StatusOK {
		return whole, nil
	}
	return c.space(dir)
}

// file reads a whole small file of this mount, past the page cache where the filesystem lets it: a cached
// read succeeds for ever on a dead device. Its Data are good until the next file is read.
func (c *call) file(root int, name string, limit int) Reply {
	fd, direct, err := c.openFile(root, name)
	if err != nil {
		return c.fail(err)
	}
	defer unix.Close(fd)
	if st := c.regular(fd); st.Status != StatusOK {
		return st
	}
	size := (limit + 2*block) / block * block
	if len(c.content) < size {
		c.content = aligned(size)
	}
	buf := c.content[:size]
	n, err := readAll(fd, buf)
	if err == unix.EINVAL && direct {
		if err = plain(fd); err == nil {
			n, err = readAll(fd, buf)
		}
	}
	if err != nil {
		return c.fail(err)
	}
	if n > limit {
		return c.status(StatusTooBig, nil)
	}
	return c.done(buf[:n])
}

// openFile opens without following a link and without waiting for the other end of a FIFO.
func (c *call) openFile(root int, name string) (fd int, direct bool, err error) {
	const flags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY
	err = retry(func() error { fd, err = unix.Openat(root, name, flags|unix.O_DIRECT, 0); return err })
	if err == unix.EINVAL {
		err = retry(func() error { fd, err = unix.Openat(root, name, flags, 0); return err })
		return fd, false, err
	}
	return fd, true, err
}

// regular is StatusOK for a regular file of the mount that was asked for.
func (c *call) regular(fd int) Reply {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return c.fail(err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return c.status(StatusType, nil)
	}
	return c.inside(fd)
}

// inside is StatusOK for a descriptor on the mount that was asked for: a link or another mount in the
// middle of a path leads elsewhere.
func (c *call) inside(fd int) Reply {
	id, err := Identify(fd)
	if err != nil {
		return c.fail(err)
	}
	want := c.got
	want.Subvol = c.req.Want.Subvol
	if !want.Same(id) {
		return c.status(StatusOther, nil)
	}
	return c.done(nil)
}

func readAll(fd int, buf []byte) (int, error) {
	total := 0
	for total < len(buf) {
		var n int
		var err error
		err = retry(func() error { n, err = unix.Pread(fd, buf[total:], int64(total)); return err })
		if err != nil {
			return total, err
		}
		if n == 0 {
			return total, nil
		}
		total += n
		if total%block != 0 {
			// The end of the file: a further O_DIRECT read at an odd offset would be refused.
			return total, nil
		}
	}
	return total, nil
}

// plain turns O_DIRECT off.
func plain(fd int) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags&^unix.O_DIRECT)
	}
	return err
}

// aligned makes a buffer that O_DIRECT takes.
func aligned(size int) []byte {
	raw := make([]byte, size+block)
	skip := block - int(uintptr(unsafe.Pointer(&raw[0]))%block)
	return raw[skip : skip+size]
}

// retry repeats a call that a signal interrupted; the runtime's own signals do that.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
