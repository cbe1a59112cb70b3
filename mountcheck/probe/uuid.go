package probe

import (
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// UUIDs is the answer of OpUUID: what the mounted filesystem says that it is, and what its device holds. Empty is
// not told; DeviceErrno is why the device could not be opened or read.
type UUIDs struct {
	Mounted, Device string
	DeviceErrno     uint32
	Opened          bool // the device was, so that DeviceErrno is of its reading
}

// agree tells whether nothing speaks against the UUID that is expected, which is without hyphens.
func (u UUIDs) agree(want string) bool {
	same := func(s string) bool { return s == "" || strings.ReplaceAll(s, "-", "") == want }
	told := u.Mounted != "" || u.Device != ""
	return told && same(u.Mounted) && same(u.Device) && (u.Device != "" || !u.Opened)
}

// uuid asks both: a filesystem goes on with what it has in memory after its device was exchanged under it, and a
// device that does not answer shows only in a read past the cache.
func (c *call) uuid(root int) Reply {
	c.enter(StageUUID)
	dir, r := c.openDir(root)
	if r.Status != StatusOK {
		return r
	}
	defer unix.Close(dir)
	u := UUIDs{Mounted: mountedUUID(dir)}
	c.enter(StageDevice)
	u.Device, u.Opened, u.DeviceErrno = c.deviceUUID()
	return c.done(u.encode())
}

// ior is the number of a reading ioctl; architectures that number them differently answer ENOTTY.
func ior(kind, nr, size uintptr) uintptr { return 2<<30 | size<<16 | kind<<8 | nr }

// mountedUUID asks the kernel: the call for all filesystems (Linux 6.9), then those of ext4, xfs and btrfs.
func mountedUUID(fd int) string {
	for _, ask := range []struct {
		ioctl uintptr
		in    uint32 // what the kernel reads before it writes
		at    int
	}{
		{ior(0x15, 0, 17), 0, 1}, {ior('f', 44, 8), 16, 8}, {ior('X', 100, 112), 0, 64}, {ior(0x94, 31, 1024), 0, 16},
	} {
		buf := [1024]byte{}
		*(*uint32)(unsafe.Pointer(&buf)) = ask.in
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ask.ioctl, uintptr(unsafe.Pointer(&buf))); e == 0 {
			return uuidText(buf[ask.at : ask.at+16])
		}
	}
	return ""
}

// deviceUUID reads the superblock of the device that is mounted, past the cache. Who is mounted is known by number;
// the name in the mount table is taken only if it has that number, or where there is none (btrfs).
func (c *call) deviceUUID() (uuid string, opened bool, e uint32) {
	fd, err := c.openDevice()
	if err != nil {
		return "", false, uint32(errno(err))
	}
	defer unix.Close(fd)
	for _, at := range []int64{0, btrfsAt} {
		buf := aligned(block)
		var n int
		err := retry(func() error { n, err = unix.Pread(fd, buf, at); return err })
		if err != nil {
			return "", true, uint32(errno(err))
		}
		if uuid := superblock(buf[:n], at); uuid != "" {
			return uuid, true, 0
		}
	}
	return "", true, 0
}

func (c *call) openDevice() (fd int, err error) {
	number := strconv.Itoa(int(c.got.Major)) + ":" + strconv.Itoa(int(c.got.Minor))
	err = unix.ENOENT
	for _, path := range []string{"/dev/block/" + number, c.step.Source} {
		if len(path) < 5 || path[:5] != "/dev/" {
			continue
		}
		const flags = unix.O_RDONLY | unix.O_DIRECT | unix.O_CLOEXEC | unix.O_NONBLOCK
		if e := retry(func() error { fd, err = unix.Open(path, flags, 0); return err }); e != nil {
			continue
		}
		var st unix.Stat_t
		if err = unix.Fstat(fd, &st); err == nil && c.mounted(&st) {
			return fd, nil
		}
		unix.Close(fd)
		err = unix.ENOENT
	}
	return -1, err
}

func (c *call) mounted(st *unix.Stat_t) bool {
	dev := uint64(st.Rdev)
	return st.Mode&unix.S_IFMT == unix.S_IFBLK && (c.got.Major == 0 || unix.Major(dev) == c.got.Major && unix.Minor(dev) == c.got.Minor)
}

// Where btrfs has its first superblock.
const btrfsAt = 64 << 10

// superblock finds the UUID in the block that begins at this offset of a device.
func superblock(b []byte, at int64) string {
	switch {
	case len(b) < block:
	case at == btrfsAt && string(b[64:72]) == "_BHRfS_M":
		return uuidText(b[32:48])
	case at == 0 && string(b[:4]) == "XFSB":
		return uuidText(b[32:48])
	case at == 0 && b[1024+56] == 0x53 && b[1024+57] == 0xef:
		return uuidText(b[1024+104 : 1024+120])
	}
	return ""
}

// uuidText writes it as blkid does; all zero is none.
func uuidText(b []byte) string {
	const digits = "0123456789abcdef"
	var out []byte
	zero := true
	for i, v := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			out = append(out, '-')
		}
		out = append(out, digits[v>>4], digits[v&15])
		zero = zero && v == 0
	}
	if zero {
		return ""
	}
	return string(out)
}
