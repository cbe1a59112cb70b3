package probe

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"
)

// initVolume writes the sentinel file once: temp, fsync, a link that replaces nothing, fsync of the
// directory. An existing sentinel is kept; StatusExists carries it when it says something else.
func (c *call) initVolume(mount int) Reply {
	root, r := c.openDir(mount)
	if r.Status != StatusOK {
		return r
	}
	defer unix.Close(root)
	if r, found := c.existing(root); found {
		return r
	}
	temp, err := tempName()
	if err != nil {
		return c.fail(err)
	}
	if r := c.writeSentinel(root, temp); r.Status != StatusOK {
		return r
	}
	c.enter(StageRename)
	err = unix.Linkat(root, temp, root, Sentinel, 0)
	if err == unix.EPERM || err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		// No hard links here: rename without replacing, the next best.
		err = unix.Renameat2(root, temp, root, Sentinel, unix.RENAME_NOREPLACE)
	}
	_ = unix.Unlinkat(root, temp, 0)
	if err == unix.EEXIST {
		r, _ := c.existing(root)
		return r
	}
	if err != nil {
		return c.fail(err)
	}
	c.enter(StageFsyncDir)
	if err := retry(func() error { return unix.Fsync(root) }); err != nil && err != unix.EINVAL {
		return c.fail(err)
	}
	return c.done([]byte(c.step.Text))
}

// tempName differs between two that do this at once: neither may truncate what the other has linked.
func tempName() (string, error) {
	b := make([]byte, 4)
	if _, err := unix.Getrandom(b, 0); err != nil {
		return "", err
	}
	return Sentinel + ".tmp-" + string(hex(binary.LittleEndian.Uint32(b))), nil
}

func (c *call) existing(root int) (Reply, bool) {
	c.enter(StageSentinel)
	r := c.file(root, Sentinel, MaxSentinel)
	if r.Status == StatusErrno && r.Errno == uint32(unix.ENOENT) {
		return r, false
	}
	if r.Status != StatusOK {
		return r, true
	}
	id := strings.TrimSpace(string(r.Data))
	if c.step.Option || id == c.step.Text {
		return c.done([]byte(id)), true
	}
	return c.status(StatusExists, []byte(id)), true
}

func (c *call) writeSentinel(root int, temp string) Reply {
	c.enter(StageCreate)
	fd, err := create(root, temp, unix.O_EXCL)
	if err != nil {
		return c.fail(err)
	}
	defer unix.Close(fd)
	c.enter(StageWrite)
	if err := writeAll(fd, []byte(c.step.Text+"\n")); err != nil {
		return c.fail(err)
	}
	c.enter(StageFsync)
	if err := retry(func() error { return unix.Fsync(fd) }); err != nil {
		return c.fail(err)
	}
	return c.done(nil)
}
