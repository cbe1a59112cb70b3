package probe

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestPlain: only what no policy can take for a fault lets the helper go on by itself, up to a write.
func TestPlain(t *testing.T) {
	const uuid = "6b1b6b024f0b4a539fb90d1d4e1c7a11"
	const text, other = "6b1b6b02-4f0b-4a53-9fb9-0d1d4e1c7a11", "6b1b6b02-4f0b-4a53-9fb9-0d1d4e1c7a12"
	missing := Reply{Status: StatusErrno, Errno: uint32(unix.ENOENT)}
	broken := Reply{Status: StatusErrno, Errno: uint32(unix.EIO)}
	is := func(u UUIDs) Reply { return Reply{Data: u.encode()} }
	space := func(ro bool) Reply { return Reply{Data: Space{ReadOnly: ro}.encode()} }
	for name, c := range map[string]struct {
		step  Step
		reply Reply
		plain bool
	}{
		"space":                     {Step{Op: OpStatfs, Option: true}, space(false), true},
		"read-only":                 {Step{Op: OpStatfs, Option: true}, space(true), false},
		"read-only as expected":     {Step{Op: OpStatfs}, space(true), true},
		"no space told":             {Step{Op: OpStatfs}, Reply{}, false},
		"statfs fails":              {Step{Op: OpStatfs}, broken, false},
		"the volume":                {Step{Op: OpSentinel, Text: "v"}, Reply{Data: []byte(" v\n")}, true},
		"another volume":            {Step{Op: OpSentinel, Text: "v"}, Reply{Data: []byte("w\n")}, false},
		"no volume":                 {Step{Op: OpSentinel, Text: "v"}, missing, false},
		"no volume expected":        {Step{Op: OpSentinel}, missing, true},
		"any volume":                {Step{Op: OpSentinel}, Reply{Data: []byte("w")}, true},
		"no volume to read":         {Step{Op: OpSentinel}, broken, false},
		"no file":                   {Step{Op: OpSentinel, Text: "v"}, Reply{Status: StatusType, Data: []byte("v")}, false},
		"the UUID":                  {Step{Op: OpUUID, Text: uuid}, is(UUIDs{Mounted: text, Device: text, Opened: true}), true},
		"the UUID, no node":         {Step{Op: OpUUID, Text: uuid}, is(UUIDs{Mounted: text, DeviceErrno: 2}), true},
		"another filesystem":        {Step{Op: OpUUID, Text: uuid}, is(UUIDs{Mounted: other, DeviceErrno: 2}), false},
		"another device":            {Step{Op: OpUUID, Text: uuid}, is(UUIDs{Mounted: text, Device: other, Opened: true}), false},
		"an empty device":           {Step{Op: OpUUID, Text: uuid}, is(UUIDs{Mounted: text, Opened: true}), false},
		"a device that is not read": {Step{Op: OpUUID, Text: uuid}, is(UUIDs{Mounted: text, Opened: true, DeviceErrno: 5}), false},
		"no UUID":                   {Step{Op: OpUUID, Text: uuid}, is(UUIDs{DeviceErrno: 2}), false},
		"no UUIDs told":             {Step{Op: OpUUID, Text: uuid}, Reply{}, false},
		"read":                      {Step{Op: OpRead}, Reply{}, true},
		"nothing to read":           {Step{Op: OpRead}, missing, false},
	} {
		if got := c.step.plain(c.reply); got != c.plain {
			t.Errorf("%s: %v", name, got)
		}
	}
}
