package probe

import (
	"encoding/binary"
	"errors"
)

// Op is what the helper is asked to do.
type Op byte

// The operations. All but OpResolve do nothing on any other mount than that of their request.
const (
	OpResolve  Op = 1 + iota // follow Path to its end; tell what it is and where
	OpStatfs                 // ask the filesystem for its space
	OpSentinel               // open and read the sentinel file
	OpRead                   // read the small file Rel
	OpWrite                  // create, write, fsync, read back and unlink a file in the directory Rel
	OpInit                   // write the sentinel file with the id Text
	OpUUID                   // tell the UUID of the filesystem, and of the device that holds it: Source, if it is that
)

// Stage is the step a request is in; the parent counts the timeout of each from its beginning.
type Stage byte

// The stages, in the order in which they can occur.
const (
	StageSend Stage = iota // not yet taken by the helper
	StageOpen
	StageStatfs
	StageSentinel
	StageRead
	StageDir
	StageCreate
	StageWrite
	StageFsync
	StageReadBack
	StageUnlink
	StageRename
	StageFsyncDir
	StageUUID
	StageDevice
)

// String is the stage as findings name it.
func (s Stage) String() string {
	names := [...]string{"start", "open", "statfs", "sentinel", "read", "open directory", "create", "write",
		"fsync", "read back", "unlink", "rename", "fsync directory", "uuid", "read of the device"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown stage"
}

// Status is how a request ended.
type Status byte

// The outcomes.
const (
	StatusOK     Status = iota
	StatusErrno         // Errno says why
	StatusOther         // Path leads to another mount than Want: nothing was touched
	StatusType          // not a regular file, or not a directory
	StatusDiffer        // the bytes read back are not those written
	StatusTooBig        // more than Limit bytes
	StatusExists        // there is another sentinel already; Data is its text
)

// Ident names one mount. A zero field is not known and not compared.
type Ident struct {
	ID     uint64 // of mountinfo, reused after an unmount
	Unique uint64 // never reused, Linux 6.8
	Major  uint32
	Minor  uint32
	Subvol bool // files have other device numbers than the mount table says (btrfs)
	Pinned bool // Major and Minor come from an earlier answer, not from the mount table
}

// Same tells whether got can be the mount that is wanted, by the strongest name that both know. Device
// numbers of the mount table are compared only where there is nothing better: not all filesystems give
// their files the same.
func (a Ident) Same(got Ident) bool {
	sameDevice := a.Major == got.Major && a.Minor == got.Minor
	switch {
	case a.Unique != 0 && got.Unique != 0:
		return a.Unique == got.Unique
	case a.ID != 0 && got.ID != 0:
		return a.ID == got.ID && (sameDevice || !a.Pinned)
	}
	return sameDevice || a.Subvol
}

// Request is one packet to the helper: what to do on one mount, one after the other. It ends with the first step
// whose answer is not the plain one: what that means is judged by who has asked, and whether the rest is still wanted.
type Request struct {
	Number uint64 // of this request to this helper, which repeats it at the end
	Want   Ident
	Path   string // the mountpoint; of OpResolve, which is alone: any path
	Steps  []Step
}

// Step is one operation of a request.
type Step struct {
	Op     Op
	Option bool // OpStatfs: read-only is not plain; OpWrite: remove what killed probes left behind first; OpInit: keep any id that is there
	Limit  uint32
	Rel    string // below the mount, without a leading slash
	Text   string // OpWrite: name of the file; OpInit: the id; OpSentinel: the plain one, any if empty; OpUUID: the plain one, without hyphens
	Source string
}

// Reply is the answer to one step.
type Reply struct {
	Stage  Stage
	Status Status
	Errno  uint32
	Got    Ident
	Data   []byte
}

// ErrPacket means that a packet was cut or is of another version of this program.
var ErrPacket = errors.New("malformed packet")

// maxPacket bounds a packet: a few paths. It is more than Go puts on a stack, whose growth would bring back much of
// what shed lets go of.
const maxPacket = 96 << 10

// maxSteps bounds a request.
const maxSteps = 16

// MaxRead bounds the file that a helper reads.
const MaxRead = 64 << 10

// Encode makes the packet of a request.
func (r Request) Encode() []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, 512), r.Number)
	b = appendText(r.Want.append(b), r.Path)
	b = append(b, byte(len(r.Steps)))
	for _, s := range r.Steps {
		b = append(b, byte(s.Op), flag(s.Option))
		b = binary.LittleEndian.AppendUint32(b, s.Limit)
		b = appendText(appendText(appendText(b, s.Rel), s.Text), s.Source)
	}
	return b
}

// DecodeRequest reads a request's packet.
func DecodeRequest(b []byte) (Request, error) {
	d := decoder{b: b}
	r := Request{Number: d.u64(), Want: d.ident(), Path: d.text()}
	n := int(d.byte())
	for range min(n, maxSteps) {
		r.Steps = append(r.Steps, Step{Op(d.byte()), d.byte() == 1, d.u32(), d.text(), d.text(), d.text()})
	}
	if d.bad || len(d.b) != 0 || n != len(r.Steps) || n == 0 {
		return Request{}, ErrPacket
	}
	return r, nil
}

// append adds a reply to those before it.
func (r Reply) append(b []byte) []byte {
	b = append(b, byte(r.Stage), byte(r.Status))
	b = binary.LittleEndian.AppendUint32(b, r.Errno)
	b = r.Got.append(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Data)))
	return append(b, r.Data...)
}

// replySize is that of a reply without its data.
const replySize = 1 + 1 + 4 + identSize + 4

// decodeReplies reads the answers of a request; their Data are parts of b.
func decodeReplies(b []byte) (all []Reply, err error) {
	for d := (decoder{b: b}); len(d.b) > 0; {
		r := Reply{Stage: Stage(d.byte()), Status: Status(d.byte()), Errno: d.u32(), Got: d.ident()}
		r.Data = d.take(d.u32())
		if d.bad {
			return nil, ErrPacket
		}
		all = append(all, r)
	}
	return all, nil
}
