package mountcheck

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/mountcheck/probe"
)

// ValidUUID tells whether a text can be the UUID of a filesystem: not all have 128 bits.
func ValidUUID(s string) bool {
	digits := plainUUID(s)
	if len(digits) < 4 || len(digits) > 32 {
		return false
	}
	return strings.Trim(digits, "0123456789abcdef") == ""
}

// plainUUID is one as it is compared.
func plainUUID(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "")) }

// uuid compares what the mounted filesystem says with what is expected, and with what its device holds: the name
// of a device is no identity, and one that was attached anew under a mounted filesystem may be another.
func (x *exam) uuid(r probe.Reply) Finding {
	if r.Status != probe.StatusOK {
		return finding(x.want.Path, answerKind(r), answerText(r))
	}
	u, err := probe.DecodeUUIDs(r.Data)
	if err != nil {
		return finding(x.want.Path, Unknown, err.Error())
	}
	return judgeUUID(x, u)
}

func judgeUUID(x *exam, u probe.UUIDs) Finding {
	path, want, e := x.want.Path, x.want.UUID, unix.Errno(u.DeviceErrno)
	differs := func(got string) bool { return got != "" && plainUUID(got) != plainUUID(want) }
	switch {
	case differs(u.Mounted):
		return finding(path, Wrong, fmt.Sprintf("the UUID of the filesystem at %s is %s, expected %s", path, u.Mounted, want))
	case differs(u.Device):
		return finding(path, Wrong, fmt.Sprintf("the device of %s (%s) holds the filesystem %s, expected %s", path, x.source, u.Device, want))
	case u.Opened && e != 0:
		return finding(path, kindOf(e), fmt.Sprintf("read of the device of %s (%s): %s", path, x.source, errnoText(e)))
	case u.Opened && u.Device == "" && signed(x.fstype):
		return finding(path, Wrong, fmt.Sprintf("the device of %s (%s) holds no %s filesystem any more", path, x.source, x.fstype))
	case u.Mounted == "" && u.Device == "" && e != 0 && strings.HasPrefix(x.source, "/dev/"):
		return finding(path, Unknown, fmt.Sprintf("the kernel does not tell the UUID of %s, and its device %s cannot be opened: %s", path, x.source, errnoText(e)))
	case u.Mounted == "" && u.Device == "":
		return finding(path, Wrong, fmt.Sprintf("the filesystem at %s (%s) has no UUID, expected %s; expect a volume id there", path, x.fstype, want))
	}
	return finding(path, OK, "")
}

// signed are the filesystems whose superblock is read.
func signed(fstype string) bool {
	return fstype == "ext2" || fstype == "ext3" || fstype == "ext4" || fstype == "xfs" || fstype == "btrfs"
}
