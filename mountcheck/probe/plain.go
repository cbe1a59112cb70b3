package probe

import (
	"strings"

	"golang.org/x/sys/unix"
)

// plain tells whether the next step may be taken, whatever the policy of the mount: nothing is written to a filesystem
// that may be another than was meant.
func (s Step) plain(r Reply) bool {
	switch s.Op {
	case OpStatfs:
		space, err := DecodeSpace(r.Data)
		return r.Status == StatusOK && err == nil && !(s.Option && space.ReadOnly)
	case OpSentinel:
		if s.Text == "" && r.Status == StatusErrno {
			return r.Errno == uint32(unix.ENOENT)
		}
		return r.Status == StatusOK && (s.Text == "" || strings.TrimSpace(string(r.Data)) == s.Text)
	case OpUUID:
		u, err := DecodeUUIDs(r.Data)
		return r.Status == StatusOK && err == nil && u.agree(s.Text)
	}
	return r.Status == StatusOK
}
