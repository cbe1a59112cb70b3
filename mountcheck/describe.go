package mountcheck

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// The parts of struct statmount that are read, by their place; strings are offsets behind statmountText.
const (
	smOptsAt  = 4
	smMask    = 8
	smMajor   = 16
	smMinor   = 20
	smSBFlags = 32
	smType    = 36
	smID      = 56
	smParent  = 60
	smAttr    = 64
	smRoot    = 104
	smPoint   = 108
	smSubtype = 120
	smSource  = 124

	statmountText = 512
)

// mount is the line of the mount table that a mark stands for; ok is false where the kernel leaves out a
// part of it (before Linux 6.14, or a filesystem that describes itself).
func (m mark) mount() (now Mount, ok bool) {
	if len(m.raw) <= statmountText {
		return now, false
	}
	raw := []byte(m.raw)
	u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(raw[at:]) }
	mask := binary.NativeEndian.Uint64(raw[smMask:])
	text := func(bit uint64, at int) string {
		off := statmountText + int(u32(at))
		if mask&bit == 0 || off >= len(raw) {
			return ""
		}
		s, _, _ := bytes.Cut(raw[off:], []byte{0})
		return string(s)
	}
	now = Mount{ID: int(u32(smID)), Parent: int(u32(smParent)), Major: int(u32(smMajor)), Minor: int(u32(smMinor)), Unique: m.unique,
		Root: text(statmountRoot, smRoot), Point: text(statmountPoint, smPoint), FSType: text(statmountType, smType), Source: text(statmountSource, smSource)}
	if sub := text(statmountSubtype, smSubtype); sub != "" {
		now.FSType += "." + sub
	}
	now.Options = flagText(binary.NativeEndian.Uint64(raw[smAttr:]), mountFlagNames())
	now.Super = strings.TrimSuffix(flagText(uint64(u32(smSBFlags)), superFlagNames())+","+text(statmountOpts, smOptsAt), ",")
	return now, mask&statmountNeeded == statmountNeeded && now.Source != ""
}

// A flagName is an option as the mount table shows it, where mask and flags are value.
type flagName struct {
	mask, value uint64
	name        string
}

const (
	atimeMask   = 0x70
	relatime    = 0
	noatime     = 0x10
	noSymFollow = 0x200000
)

func mountFlagNames() []flagName {
	return []flagName{{1, 0, "rw"}, {1, 1, "ro"}, {2, 2, "nosuid"}, {4, 4, "nodev"}, {8, 8, "noexec"}, {atimeMask, noatime, "noatime"},
		{0x80, 0x80, "nodiratime"}, {atimeMask, relatime, "relatime"}, {noSymFollow, noSymFollow, "nosymfollow"}, {0x100000, 0x100000, "idmapped"}}
}

func superFlagNames() []flagName {
	return []flagName{{1, 0, "rw"}, {1, 1, "ro"}, {0x10, 0x10, "sync"}, {0x80, 0x80, "dirsync"}, {0x40, 0x40, "mand"}, {1 << 25, 1 << 25, "lazytime"}}
}

func flagText(v uint64, names []flagName) string {
	var out []string
	for _, n := range names {
		if v&n.mask == n.value {
			out = append(out, n.name)
		}
	}
	return strings.Join(out, ",")
}
