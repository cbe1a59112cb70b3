package snapshot

import (
	"fmt"
	"math"
	"time"
)

// A Kind says what an entry is.
type Kind string

const (
	File    Kind = "file"
	Dir     Kind = "dir"
	Symlink Kind = "symlink"  // Target is where it points
	Link    Kind = "hardlink" // Target is the path of the first name, which came before
	FIFO    Kind = "fifo"
	Char    Kind = "char" // Device is its number
	Block   Kind = "block"
	Stream  Kind = "stream" // the output of a command: the only entry of its snapshot
)

// A Time is seconds since 1970 and nanoseconds above them, as filesystems keep it: wider than time.Time's
// nanoseconds in 64 bits. JSON: [SECONDS,NANOSECONDS].
type Time [2]int64

// TimeOf converts a wall clock time.
func TimeOf(t time.Time) Time { return Time{t.Unix(), int64(t.Nanosecond())} }

// Time converts back.
func (t Time) Time() time.Time { return time.Unix(t[0], t[1]) }

// An Entry is one name in a snapshot with all its metadata; of a file, all but its bytes.
type Entry struct {
	Path   string // any bytes; no slash at either end
	Kind   Kind
	Mode   uint32 // permission, set-id and sticky bits
	UID    uint32
	GID    uint32
	MTime  Time
	Target string // of a Symlink or Link
	Device uint64 // of a Char or Block
	Xattrs []Xattr
	File   FileInfo // of a File or Stream
}

// A FileInfo is what else is known of a file. Size, MTime of the entry, CTime and Inode together tell
// whether it is what the last snapshot holds.
type FileInfo struct {
	Size   int64 // bytes; of a Stream 0: the end of its last run tells
	Chunk  int64 // bytes that are hashed together; the writer fills it in
	CTime  Time
	Inode  uint64
	Links  uint32 // names, where there is more than one
	Sparse bool   // had holes: ranges without a run are holes; without it they are zeros
	Racy   bool   // changed so short before it was read that its times prove nothing
}

// An Xattr is an extended attribute; ACLs are such.
type Xattr struct {
	Name  string
	Value []byte
}

// A Run is a range of a file that lies in one piece in one frame. It starts on a chunk's boundary and
// ends on one, or at the end of the file. What no run covers is zero.
type Run struct {
	At    int64 // in the file
	Len   int64
	Frame Frame
	Skip  int64 // bytes of the frame, once decompressed, before the run
	Sums  []Sum // of each chunk in turn
}

// A Frame is a place in a pack: one zstd frame.
type Frame struct {
	Pack   Pack
	Off    int64 // in the pack
	Stored int64 // bytes there
	Raw    int64 // bytes once decompressed
}

func (e *Entry) hasData() bool { return e.Kind == File || e.Kind == Stream }

// check refuses an entry that no tree can have.
func (e *Entry) check() error {
	if err := CheckPath(e.Path); err != nil {
		return err
	}
	bad := func(format string, args ...any) error {
		return damaged("entry %.80q: %s", e.Path, fmt.Sprintf(format, args...))
	}
	switch {
	case !e.knownKind():
		return bad("unknown kind %.20q", e.Kind)
	case e.Path == Root && e.Kind != Dir:
		return bad("the root is a %s", e.Kind)
	case e.Mode > 0o7777:
		return bad("mode %#o", e.Mode)
	case e.MTime[1] < 0 || e.MTime[1] >= 1e9 || e.File.CTime[1] < 0 || e.File.CTime[1] >= 1e9:
		return bad("nanoseconds outside a second")
	case len(e.Xattrs) > maxXattrs:
		return bad("%d extended attributes", len(e.Xattrs))
	case (e.Kind == Symlink) != (e.Target != "" && e.Kind != Link), len(e.Target) > maxPath:
		return bad("a %s with a target of %d bytes", e.Kind, len(e.Target))
	case e.Kind == Link:
		return e.checkLink()
	case e.hasData():
		return e.checkFile()
	}
	return nil
}

func (e *Entry) knownKind() bool {
	switch e.Kind {
	case File, Dir, Symlink, Link, FIFO, Char, Block, Stream:
		return true
	}
	return false
}

func (e *Entry) checkLink() error {
	if err := CheckPath(e.Target); err != nil {
		return err
	}
	if ComparePaths(e.Target, e.Path) >= 0 {
		return damaged("hard link %.80q to %.80q, which does not come before it", e.Path, e.Target)
	}
	return nil
}

func (e *Entry) checkFile() error {
	if e.File.Size < 0 || e.File.Size > math.MaxInt64-maxFrame || !validChunk(e.File.Chunk) {
		return damaged("file %.80q: size %d, chunks of %d", e.Path, e.File.Size, e.File.Chunk)
	}
	return nil
}

// check refuses a run that cannot belong to e after one that ended at `after`.
func (r *Run) check(e *Entry, after int64) error {
	chunk, f := e.File.Chunk, r.Frame
	bad := r.At < after || r.At%chunk != 0 || r.Len <= 0 || r.Len > maxFrame || r.At > math.MaxInt64-maxFrame
	if e.Kind == File {
		bad = bad || r.At+r.Len > e.File.Size || r.Len%chunk != 0 && r.At+r.Len != e.File.Size
	} else {
		bad = bad || r.At != after || r.At%chunk != 0
	}
	bad = bad || int64(len(r.Sums)) != (r.Len+chunk-1)/chunk
	bad = bad || f.Off < 0 || f.Stored <= 0 || f.Stored > maxStored || f.Off > maxPack-f.Stored
	bad = bad || f.Raw <= 0 || f.Raw > maxFrame || r.Skip < 0 || r.Skip > f.Raw-r.Len
	if bad {
		return damaged("file %.80q of %d bytes: run of %d at %d after %d, %d hashes, in a frame of %d+%d bytes, %d raw, from %d",
			e.Path, e.File.Size, r.Len, r.At, after, len(r.Sums), f.Off, f.Stored, f.Raw, r.Skip)
	}
	return nil
}

// chunks gives offset in the run, length and hash of each chunk in turn.
func (r *Run) chunks(chunk int64, yield func(off, n int64, sum Sum) bool) {
	for i, sum := range r.Sums {
		off := int64(i) * chunk
		if !yield(off, min(chunk, r.Len-off), sum) {
			return
		}
	}
}
