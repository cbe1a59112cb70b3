package snapshot

import (
	"encoding/json"
	"strconv"
)

// A manifest is lines of JSON, in this order: one header; each entry followed by its runs; the owners of
// all packs that runs name; the end. What kind a line is, its first key tells.

// A Header is the first line of a manifest.
type Header struct {
	Interlock  string `json:"interlock"` // "manifest"
	Format     int    `json:"format"`
	Repository string `json:"repository"`
	Snapshot   ID     `json:"snapshot"`
	Parent     ID     `json:"parent,omitempty"`
	Chunk      int64  `json:"chunk"` // of new files
}

// An endLine is the last line, so that a manifest that was cut off is told from a whole one.
type endLine struct {
	End     bool  `json:"end"`
	Entries int64 `json:"entries"`
	Runs    int64 `json:"runs"`
}

// A manifestLine is any line but the header, as read.
type manifestLine struct {
	entryLine
	runLine
	Owner *ID    `json:"owner"`
	Packs string `json:"packs"`
	endLine
}

type entryLine struct {
	Path   *text       `json:"path"`
	Kind   Kind        `json:"kind"`
	Mode   uint32      `json:"mode"`
	UID    uint32      `json:"uid"`
	GID    uint32      `json:"gid"`
	MTime  Time        `json:"mtime"`
	Target text        `json:"target"`
	Device uint64      `json:"device"`
	Xattrs []xattrLine `json:"xattrs"`
	fileLine
}

type fileLine struct {
	Size   int64  `json:"size"`
	Chunk  int64  `json:"chunk"`
	CTime  Time   `json:"ctime"`
	Inode  uint64 `json:"inode"`
	Links  uint32 `json:"links"`
	Sparse bool   `json:"sparse"`
	Racy   bool   `json:"racy"`
}

type xattrLine struct {
	Name  text   `json:"name"`
	Value []byte `json:"value"`
}

type runLine struct {
	At     *int64 `json:"at"`
	Len    int64  `json:"len"`
	Pack   string `json:"pack"`
	Off    int64  `json:"off"`
	Stored int64  `json:"stored"`
	Raw    int64  `json:"raw"`
	Skip   int64  `json:"skip"`
	Sums   []byte `json:"sums"`
}

func (l *manifestLine) entry() Entry {
	e := Entry{Path: string(*l.Path), Kind: l.Kind, Mode: l.Mode, UID: l.UID, GID: l.GID, MTime: l.MTime,
		Target: string(l.Target), Device: l.Device, File: FileInfo(l.fileLine)}
	for _, x := range l.Xattrs {
		e.Xattrs = append(e.Xattrs, Xattr{string(x.Name), x.Value})
	}
	return e
}

func (l *manifestLine) run() (Run, error) {
	pack, err := parsePack(l.Pack)
	if err != nil {
		return Run{}, err
	}
	if len(l.Sums)%len(Sum{}) != 0 {
		return Run{}, damaged("run with %d bytes of hashes", len(l.Sums))
	}
	r := Run{At: *l.At, Len: l.Len, Skip: l.Skip, Frame: Frame{pack, l.Off, l.Stored, l.Raw}}
	r.Sums = make([]Sum, len(l.Sums)/len(Sum{}))
	for i := range r.Sums {
		r.Sums[i] = Sum(l.Sums[i*len(Sum{}):])
	}
	return r, nil
}

func appendInt(b []byte, key string, n int64) []byte {
	b = append(b, key...)
	return strconv.AppendInt(b, n, 10)
}

func appendTime(b []byte, key string, t Time) []byte {
	b = strconv.AppendInt(append(b, key...), t[0], 10)
	b = strconv.AppendInt(append(b, ','), t[1], 10)
	return append(b, ']')
}

// appendEntry writes the line of e. Written by hand: json.Marshal takes four times as long, a million times.
func appendEntry(b []byte, e *Entry) []byte {
	b = appendText(append(b, `{"path":`...), e.Path)
	b = append(append(append(b, `,"kind":"`...), e.Kind...), '"')
	b = appendInt(b, `,"mode":`, int64(e.Mode))
	b = appendInt(b, `,"uid":`, int64(e.UID))
	b = appendInt(b, `,"gid":`, int64(e.GID))
	b = appendTime(b, `,"mtime":[`, e.MTime)
	if e.Target != "" {
		b = appendText(append(b, `,"target":`...), e.Target)
	}
	if e.Device != 0 {
		b = strconv.AppendUint(append(b, `,"device":`...), e.Device, 10)
	}
	if len(e.Xattrs) > 0 {
		b = appendXattrs(b, e.Xattrs)
	}
	if e.File.Links > 1 {
		b = appendInt(b, `,"links":`, int64(e.File.Links))
	}
	if e.hasData() {
		b = appendFile(b, &e.File)
	}
	return append(b, "}\n"...)
}

func appendXattrs(b []byte, list []Xattr) []byte {
	b = append(b, `,"xattrs":[`...)
	for i, x := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(b, `{"name":`...), x.Name)
		b = append(appendB64(append(b, `,"value":`...), x.Value), '}')
	}
	return append(b, ']')
}

func appendFile(b []byte, f *FileInfo) []byte {
	b = appendInt(b, `,"size":`, f.Size)
	b = appendInt(b, `,"chunk":`, f.Chunk)
	b = appendTime(b, `,"ctime":[`, f.CTime)
	b = strconv.AppendUint(append(b, `,"inode":`...), f.Inode, 10)
	if f.Sparse {
		b = append(b, `,"sparse":true`...)
	}
	if f.Racy {
		b = append(b, `,"racy":true`...)
	}
	return b
}

// appendRun writes the line of r.
func appendRun(b []byte, r *Run) []byte {
	b = appendInt(b, `{"at":`, r.At)
	b = appendInt(b, `,"len":`, r.Len)
	b = append(appendPack(append(b, `,"pack":"`...), r.Frame.Pack), '"')
	b = appendInt(b, `,"off":`, r.Frame.Off)
	b = appendInt(b, `,"stored":`, r.Frame.Stored)
	b = appendInt(b, `,"raw":`, r.Frame.Raw)
	if r.Skip > 0 {
		b = appendInt(b, `,"skip":`, r.Skip)
	}
	b = append(b, `,"sums":"`...)
	b = appendSums(b, r.Sums)
	return append(b, "\"}\n"...)
}

// appendPack is Pack.String, for many.
func appendPack(b []byte, p Pack) []byte {
	b = append(append(b, p.Owner...), '/')
	for n := 10_000; n > 1 && p.Number < n; n /= 10 {
		b = append(b, '0')
	}
	return strconv.AppendInt(b, int64(p.Number), 10)
}

// marshalLine is for the few lines that are not many.
func marshalLine(b []byte, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	return append(append(b, text...), '\n'), err
}
