package mountcheck

import (
	"encoding/binary"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// mark is what the kernel says of one mount, as bytes: two that are equal mean that nothing has changed
// with it. Zero where the kernel cannot say it (before Linux 6.8).
type mark struct {
	unique uint64
	raw    string
}

// resolveCached makes openat2 fail where a filesystem would have to be asked.
const resolveCached = 0x20

// takeMark names what is mounted at a path now and describes it, in some microseconds however many mounts
// there are. It cannot hang: the path is followed in the kernel's cache alone.
func takeMark(path string) (m mark) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: resolveCached | unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &how)
	if err != nil {
		return m
	}
	defer unix.Close(fd)
	id, err := probe.Identify(fd)
	if err != nil || id.Unique == 0 {
		return m
	}
	if raw := statmount(id.Unique); raw != "" {
		m = mark{id.Unique, raw}
	}
	return m
}

// The parts that are asked for: of filesystem and mount, with root, point, type, options, subtype and source.
const (
	statmountRoot    = 0x8
	statmountPoint   = 0x10
	statmountType    = 0x20
	statmountOpts    = 0x80
	statmountSubtype = 0x100
	statmountSource  = 0x200
	statmountNeeded  = 0x1 | 0x2 | statmountRoot | statmountPoint | statmountType | statmountSource
	statmountMask    = statmountNeeded | statmountOpts | statmountSubtype
)

// statmount is the system call; empty where it does not answer.
func statmount(unique uint64) string {
	request := [3]uint64{24, unique, statmountMask}
	if bigEndian() {
		request[0] <<= 32 // two halves: size, and what must be 0
	}
	buf := make([]byte, 8<<10)
	_, _, errno := unix.Syscall6(unix.SYS_STATMOUNT, uintptr(unsafe.Pointer(&request)), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0)
	runtime.KeepAlive(&request)
	size := binary.NativeEndian.Uint32(buf)
	if errno != 0 || size < 16 || int(size) > len(buf) {
		return ""
	}
	return string(buf[:size])
}

func bigEndian() bool { return binary.NativeEndian.Uint16([]byte{0, 1}) == 1 }

// whole tells whether the mark has all that is judged of a mount: kernels before 6.11 leave the options of
// the filesystem out.
func (m mark) whole(now Mount) bool {
	if m.raw == "" || m.unique != now.Unique {
		return false
	}
	if binary.NativeEndian.Uint64([]byte(m.raw[8:16]))&statmountOpts != 0 {
		return true
	}
	return strings.Trim(now.Super, "row,") == ""
}

// unchanged tells, without the mount table, that the mount is as it was when it was found right.
func (t *target) unchanged(now mark) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return now.raw != "" && now == t.mark
}

// confirms tells whether the kernel's own word makes a second reading of the table needless: another mount
// is at the path, or the same one is not what it was.
func (t *target) confirms(m mark, k Kind) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	base := t.state.base.Unique
	if m.raw == "" || base == 0 {
		return false
	}
	if k == Absent || k == Replaced {
		return m.unique != base
	}
	return m.unique == base && t.mark.raw != "" && m.raw != t.mark.raw
}

// note keeps a mark that was taken before the table was read, if the table found the mount right.
func (t *target) note(m mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mark = mark{}
	if t.state.table.Kind == OK && m.whole(t.state.current) {
		t.mark = m
	}
}
