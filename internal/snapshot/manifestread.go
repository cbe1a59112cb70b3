package snapshot

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
)

// A Manifest is a snapshot's list of entries, read as a stream: NextEntry, then NextRun until io.EOF, and
// so on. What it hands out was checked line by line; that the whole is what the catalog names is known only
// once NextEntry has returned io.EOF. One goroutine uses it.
type Manifest struct {
	Header
	lines  *lines
	name   string
	parser lineParser
	ahead  parsed // read, not yet handed out
	entry  Entry
	after  int64 // end of the last run
	order  treeOrder
	packs  packSet
	owners packSet
	seen   endLine
	done   bool
}

// OpenManifest reads the manifest of snap from body, and closes it. body may come from the store or from a
// copy that was kept: it is compared with what the catalog says.
func OpenManifest(body io.ReadCloser, repository string, snap Snapshot) (*Manifest, error) {
	return openManifest(body, nil, repository, snap)
}

func openManifest(body io.ReadCloser, opened func(io.Reader) (io.Reader, error), repository string, snap Snapshot) (*Manifest, error) {
	l, err := newLines(body, snap.Manifest, opened)
	if err != nil {
		return nil, err
	}
	m := &Manifest{lines: l, name: snap.ID.manifestKey(), packs: packSet{}, owners: packSet{}}
	if err := m.head(repository, snap.ID); err != nil {
		_ = l.close() // only read from
		return nil, m.where(err)
	}
	return m, nil
}

func (m *Manifest) where(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return fmt.Errorf("%s, after %d entries: %w", m.name, m.seen.Entries, err)
}

func (m *Manifest) head(repository string, id ID) error {
	line, err := m.lines.next()
	if err == io.EOF {
		return damaged("empty")
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, &m.Header); err != nil {
		return damaged("header: %v", err)
	}
	h := m.Header
	switch {
	case h.Interlock != "manifest" || h.Repository != repository || h.Snapshot != id:
		return damaged("is %.20q of snapshot %.60q in repository %.40q: expected the manifest of %s in %s", h.Interlock, h.Snapshot, h.Repository, id, repository)
	case h.Format != Format:
		return fmt.Errorf("%w: manifest format %d, this release reads %d", ErrForeign, h.Format, Format)
	case !validChunk(h.Chunk):
		return damaged("chunks of %d bytes", h.Chunk)
	}
	return nil
}

// read makes sure that a line is ahead.
func (m *Manifest) read() error {
	if m.ahead.kind != 0 {
		return nil
	}
	line, err := m.lines.next()
	if err == io.EOF {
		return damaged("cut off: no end line")
	}
	if err != nil {
		return err
	}
	if err := m.parser.parse(line, &m.ahead); err != nil {
		m.ahead.kind = 0
		return err
	}
	return nil
}

// NextEntry gives the next entry, valid until the call after; io.EOF once all have been read and the whole
// is what the catalog says. Runs of the entry before that were not read are checked and passed over.
func (m *Manifest) NextEntry() (*Entry, error) {
	e, err := m.nextEntry()
	return e, m.where(err)
}

func (m *Manifest) nextEntry() (*Entry, error) {
	if m.done {
		return nil, io.EOF
	}
	for {
		_, err := m.nextRun()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if m.ahead.kind != 'e' {
		return nil, m.finish()
	}
	m.entry, m.ahead.kind, m.after = m.ahead.entry, 0, 0
	m.seen.Entries++
	if err := m.entry.check(); err != nil {
		return nil, err
	}
	return &m.entry, m.order.accept(&m.entry)
}

// NextRun gives the next run of the entry, io.EOF after the last.
func (m *Manifest) NextRun() (*Run, error) {
	r, err := m.nextRun()
	return r, m.where(err)
}

func (m *Manifest) nextRun() (*Run, error) {
	if m.done {
		return nil, io.EOF
	}
	if err := m.read(); err != nil {
		return nil, err
	}
	if m.ahead.kind != 'r' {
		return nil, io.EOF
	}
	if !m.entry.hasData() {
		return nil, damaged("a run behind %.80q, a %s", m.entry.Path, m.entry.Kind)
	}
	r := m.ahead.run
	if err := r.check(&m.entry, m.after); err != nil {
		return nil, err
	}
	m.ahead.kind, m.after = 0, r.At+r.Len
	m.seen.Runs++
	m.packs.add(r.Frame.Pack)
	return &r, m.packs.full()
}

// finish reads owners and end.
func (m *Manifest) finish() error {
	for m.ahead.rest.Owner != nil {
		if err := m.owners.addRanges(*m.ahead.rest.Owner, m.ahead.rest.Packs); err != nil {
			return err
		}
		m.ahead.kind = 0
		if err := m.read(); err != nil {
			return err
		}
		if m.ahead.kind != 'x' {
			return damaged("an entry or a run behind the owners")
		}
	}
	m.seen.End = true
	if m.ahead.rest.endLine != m.seen {
		return damaged("ends with %+v, read %+v", m.ahead.rest.endLine, m.seen)
	}
	if line, err := m.lines.next(); err != io.EOF {
		return damaged("goes on after its end: %.40q, %v", line, err)
	}
	if err := m.lines.check(); err != nil {
		return err
	}
	if !maps.Equal(m.packs, m.owners) {
		return damaged("runs name other packs than the list of owners")
	}
	m.done = true
	return io.EOF
}

// Close ends the reading, at any place.
func (m *Manifest) Close() error { return m.lines.close() }

// A treeOrder checks that entries come in the order of a walk, each after its directory, and hard links
// after a file with several names. So no entry can lie behind a symlink.
type treeOrder struct {
	last  string
	begun bool
	dirs  []string // that are open, from the top
	many  map[uint64]struct{}
	seed  maphash.Seed
}

func (o *treeOrder) accept(e *Entry) error {
	if o.begun && ComparePaths(o.last, e.Path) >= 0 {
		return damaged("%w: %.80q after %.80q", ErrOrder, e.Path, o.last)
	}
	if !o.begun {
		o.begun, o.seed, o.many = true, maphash.MakeSeed(), map[uint64]struct{}{}
	}
	o.last = e.Path
	parent := parentOf(e.Path)
	for len(o.dirs) > 0 && o.dirs[len(o.dirs)-1] != parent {
		o.dirs = o.dirs[:len(o.dirs)-1]
	}
	if parent != Root && len(o.dirs) == 0 {
		return damaged("%.80q lies in %.80q, which is no directory of the snapshot", e.Path, parent)
	}
	return o.remember(e)
}

func (o *treeOrder) remember(e *Entry) error {
	switch {
	case e.Kind == Dir && e.Path != Root:
		o.dirs = append(o.dirs, e.Path)
	case e.Kind == Link:
		if _, known := o.many[maphash.String(o.seed, e.Target)]; !known {
			return damaged("hard link %.80q to %.80q, which is no file with several names", e.Path, e.Target)
		}
	case e.Kind != Dir && e.File.Links > 1:
		o.many[maphash.String(o.seed, e.Path)] = struct{}{}
	}
	return nil
}
