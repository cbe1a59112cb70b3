package probe

import (
	"bytes"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Prefix begins the name of every file that a write probe makes.
const Prefix = ".interlock-probe-"

// write is the only proof that a write would arrive: statfs and cached reads succeed for ever on a dead
// device, and a full, read-only or half-dead filesystem shows only here.
func (c *call) write(root int) Reply {
	dir, r := c.openDir(root)
	if r.Status != StatusOK {
		return r
	}
	defer unix.Close(dir)
	if c.step.Option {
		sweep(dir, c.step.Text)
	}
	c.enter(StageCreate)
	fd, err := create(dir, c.step.Text, unix.O_TRUNC)
	if err != nil {
		return c.fail(err)
	}
	defer unix.Close(fd)
	if r := c.roundTrip(dir, fd); r.Status != StatusOK {
		c.cleanup(dir, r)
		return r
	}
	c.enter(StageUnlink)
	err = retry(func() error { return unix.Unlinkat(dir, c.step.Text, 0) })
	if err != nil && err != unix.ENOENT {
		return c.fail(err)
	}
	return c.done(nil)
}

// cleanup removes the file of a failed probe; its error says nothing that the probe's own does not.
func (c *call) cleanup(dir int, r Reply) {
	if r.Errno != uint32(unix.EROFS) {
		c.enter(StageUnlink)
		_ = unix.Unlinkat(dir, c.step.Text, 0)
	}
}

// openDir opens the directory Rel of the right mount; nothing is created on the way.
func (c *call) openDir(root int) (int, Reply) {
	c.enter(StageDir)
	rel := c.step.Rel
	if rel == "" {
		rel = "."
	}
	dir, err := unix.Openat(root, rel, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, c.fail(err)
	}
	if r := c.inside(dir); r.Status != StatusOK {
		unix.Close(dir)
		return -1, r
	}
	return dir, Reply{}
}

func create(dir int, name string, extra int) (fd int, err error) {
	flags := unix.O_RDWR | unix.O_CREAT | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK | extra
	err = retry(func() error { fd, err = unix.Openat(dir, name, flags, 0o644); return err })
	return fd, err
}

func (c *call) roundTrip(dir, fd int) Reply {
	c.written = pattern(c.written[:0], c.step.Text, c.step.Limit)
	c.enter(StageWrite)
	if err := writeAll(fd, c.written); err != nil {
		return c.fail(err)
	}
	c.enter(StageFsync)
	if err := retry(func() error { return unix.Fsync(fd) }); err != nil {
		return c.fail(err)
	}
	c.enter(StageReadBack)
	return c.readBack(dir)
}

// readBack opens the file anew: what a second reader gets is what counts.
func (c *call) readBack(dir int) Reply {
	r := c.file(dir, c.step.Text, len(c.written))
	if r.Status == StatusOK && !bytes.Equal(r.Data, c.written) {
		return c.status(StatusDiffer, nil)
	}
	r.Data = nil
	return r
}

// pattern is one block that differs from probe to probe: Limit is the probe's number.
func pattern(b []byte, name string, number uint32) []byte {
	for len(b) < block {
		b = append(b, name...)
		b = append(b, ' ')
		b = append(b, hex(number)...)
		b = append(b, '\n')
	}
	return b[:block]
}

func hex(v uint32) []byte {
	const digits = "0123456789abcdef"
	out := make([]byte, 8)
	for i := range out {
		out[7-i] = digits[v>>(4*i)&15]
	}
	return out
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		var n int
		var err error
		err = retry(func() error { n, err = unix.Write(fd, b); return err })
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// sweep removes what killed probes of earlier runs left. It is a courtesy: a failure costs a few blocks.
// A probe that still runs elsewhere keeps its descriptor and takes the missing name for removed.
func sweep(dir int, own string) {
	dup, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	d := os.NewFile(uintptr(dup), "state directory")
	defer d.Close()
	names, err := d.Readdirnames(4096)
	if err != nil {
		return
	}
	for _, name := range names {
		if strings.HasPrefix(name, Prefix) && name != own {
			_ = unix.Unlinkat(dir, name, 0)
		}
	}
}
