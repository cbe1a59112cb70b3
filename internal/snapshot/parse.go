package snapshot

import (
	"encoding/json"
)

// A parsed is one line of a manifest that was read: an entry, a run, or one of the few at the end.
type parsed struct {
	kind  byte // 'e', 'r', or 'x' for rest; 0 for none
	entry Entry
	run   Run
	rest  *manifestLine
}

// A lineParser reads lines. What our own writer made, without anything unusual, takes a short way that is
// six times as fast; everything else goes through encoding/json, which the short way never disagrees with.
type lineParser struct {
	packText string // the last pack that was read, and what it means
	pack     Pack
}

func (p *lineParser) parse(line []byte, into *parsed) error {
	if p.shortEntry(line, &into.entry) {
		into.kind = 'e'
		return nil
	}
	if ok, err := p.shortRun(line, &into.run); ok || err != nil {
		into.kind = 'r'
		return err
	}
	return p.full(line, into)
}

// full is the way for any line.
func (p *lineParser) full(line []byte, into *parsed) (err error) {
	var l manifestLine
	if err := json.Unmarshal(line, &l); err != nil {
		return damaged("line %.80q: %v", line, err)
	}
	switch {
	case l.At != nil:
		into.kind = 'r'
		into.run, err = l.run()
	case l.Path != nil:
		into.kind = 'e'
		into.entry = l.entry()
	default:
		into.kind, into.rest = 'x', &l
	}
	return err
}

// packOf is parsePack with a memory of one.
func (p *lineParser) packOf(text []byte) (Pack, error) {
	if p.packText != "" && string(text) == p.packText {
		return p.pack, nil
	}
	pack, err := parsePack(string(text))
	if err == nil {
		p.packText, p.pack = string(text), pack
	}
	return pack, err
}

// shortEntry reads an entry without target, device, attributes or unusual characters.
func (p *lineParser) shortEntry(line []byte, e *Entry) bool {
	c := cursor{rest: line}
	path := c.plain(`{"path":"`)
	kind := knownKind(c.plain(`,"kind":"`))
	mode, uid, gid := c.number(`,"mode":`), c.number(`,"uid":`), c.number(`,"gid":`)
	mtime := c.time(`,"mtime":[`)
	var f FileInfo
	links := int64(0)
	if c.has(`,"links":`) {
		links = c.number("")
	}
	if kind == File {
		f.Size, f.Chunk = c.number(`,"size":`), c.number(`,"chunk":`)
		f.CTime = c.time(`,"ctime":[`)
		f.Inode = uint64(c.number(`,"inode":`))
		f.Sparse = c.has(`,"sparse":true`)
		f.Racy = c.has(`,"racy":true`)
	}
	if c.wrong || kind == "" || string(c.rest) != "}" || mode|uid|gid|links > 1<<32-1 {
		return false
	}
	f.Links = uint32(links)
	*e = Entry{Path: string(path), Kind: kind, Mode: uint32(mode), UID: uint32(uid), GID: uint32(gid), MTime: mtime, File: f}
	return true
}

// knownKind is for the two kinds of which there are many.
func knownKind(text []byte) Kind {
	switch string(text) {
	case "file":
		return File
	case "dir":
		return Dir
	}
	return ""
}

// shortRun reads a run as appendRun writes it. ok and an error: it is one, and wrong.
func (p *lineParser) shortRun(line []byte, r *Run) (ok bool, err error) {
	c := cursor{rest: line}
	at, n := c.number(`{"at":`), c.number(`,"len":`)
	text := c.plain(`,"pack":"`)
	off, stored, raw := c.number(`,"off":`), c.number(`,"stored":`), c.number(`,"raw":`)
	skip := int64(0)
	if c.has(`,"skip":`) {
		skip = c.number("")
	}
	coded := c.plain(`,"sums":"`)
	if c.wrong || string(c.rest) != "}" {
		return false, nil
	}
	sums, good := decodeSums(coded)
	if !good {
		return false, nil
	}
	pack, err := p.packOf(text)
	*r = Run{At: at, Len: n, Skip: skip, Frame: Frame{pack, off, stored, raw}, Sums: sums}
	return true, err
}
