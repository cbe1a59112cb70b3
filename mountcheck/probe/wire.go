package probe

import (
	"encoding/binary"
	"errors"
)

// Op is what the helper is asked to do.
type Op byte

// The requests. All but OpResolve name a mount by Path and Want and do nothing on any other mount.
const (
	OpResolve  Op = 1 + iota // follow Path to its end; tell what it is and where
	OpStatfs                 // ask the filesystem for its space
	OpSentinel               // open and read the sentinel file
	OpRead                   // read the small file Rel
	OpWrite                  // create, write, fsync, read back and unlink a file in the directory Rel
	OpInit                   // write the sentinel file with the id Text
	OpLook                   // OpStatfs, and if that is well OpSentinel: its answer after the space
	OpUUID                   // tell the UUID of the filesystem, and of the device that holds it: Text, if it is that
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

// Request is one packet to the helper.
type Request struct {
	Op     Op
	Option bool // OpWrite: remove what killed probes left behind first; OpInit: keep any id that is there
	Limit  uint32
	Want   Ident
	Path   string // the mountpoint; of OpResolve: any path
	Rel    string // below the mount, without a leading slash
	Text   string // OpWrite: name of the file; OpInit: the id; OpUUID: the source
}

// Reply is the answer to a request, one packet.
type Reply struct {
	Stage  Stage
	Status Status
	Errno  uint32
	Got    Ident
	Data   []byte
}

// ErrPacket means that a packet was cut or is of another version of this program.
var ErrPacket = errors.New("malformed packet")

// MaxPacket bounds a packet, and so what can be read in one request.
const MaxPacket = MaxRead + 4096

// MaxRead bounds the file that a helper reads.
const MaxRead = 64 << 10

// Encode makes the packet of a request.
func (r Request) Encode() []byte {
	b := []byte{byte(r.Op), flag(r.Option)}
	b = binary.LittleEndian.AppendUint32(b, r.Limit)
	b = r.Want.append(b)
	for _, s := range []string{r.Path, r.Rel, r.Text} {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return b
}

// DecodeRequest reads a request's packet.
func DecodeRequest(b []byte) (Request, error) {
	d := decoder{b: b}
	r := Request{Op: Op(d.byte()), Option: d.byte() == 1, Limit: d.u32(), Want: d.ident()}
	r.Path, r.Rel, r.Text = d.text(), d.text(), d.text()
	if d.bad || len(d.b) != 0 {
		return Request{}, ErrPacket
	}
	return r, nil
}

// Encode makes the packet of a reply.
func (r Reply) Encode() []byte {
	b := []byte{byte(r.Stage), byte(r.Status)}
	b = binary.LittleEndian.AppendUint32(b, r.Errno)
	b = r.Got.append(b)
	return append(b, r.Data...)
}

// DecodeReply reads a reply's packet; Data is a part of b.
func DecodeReply(b []byte) (Reply, error) {
	d := decoder{b: b}
	r := Reply{Stage: Stage(d.byte()), Status: Status(d.byte()), Errno: d.u32(), Got: d.ident()}
	r.Data = d.b
	if d.bad {
		return Reply{}, ErrPacket
	}
	return r, nil
}
