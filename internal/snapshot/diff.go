package snapshot

import (
	"errors"
	"io"
	"iter"
	"slices"
)

// A Change is a path that differs between two snapshots. Only one of the entries is there for what was
// added or removed.
type Change struct {
	Path     string
	Old, New *Entry // valid until the next change
	Content  bool   // of a file: its bytes differ, by their hashes
	Meta     bool   // owner, mode, mtime, target, attributes
}

// Diff gives what differs from old to new, in the order of paths. Neither is held whole.
func Diff(from, to *Manifest) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		d := differ{side{m: from}, side{m: to}}
		for {
			c, err := d.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Change{}, err)
				return
			}
			if (c.Old == nil || c.New == nil || c.Content || c.Meta) && !yield(c, nil) {
				return
			}
		}
	}
}

type differ struct{ from, to side }

// A side is one of the two manifests.
type side struct {
	m     *Manifest
	entry *Entry
	ended bool
	run   *Run
	used  int // chunks of run
}

// fill makes sure that an entry is there, unless there are no more.
func (s *side) fill() (err error) {
	if s.entry != nil || s.ended {
		return nil
	}
	s.run, s.used = nil, 0
	s.entry, err = s.m.NextEntry()
	if errors.Is(err, io.EOF) {
		s.entry, s.ended, err = nil, true, nil
	}
	return err
}

func (s *side) take() *Entry {
	e := s.entry
	s.entry = nil
	return e
}

func (d *differ) next() (Change, error) {
	if err := errors.Join(d.from.fill(), d.to.fill()); err != nil {
		return Change{}, err
	}
	a, b := d.from.entry, d.to.entry
	switch {
	case a == nil && b == nil:
		return Change{}, io.EOF
	case b == nil || a != nil && ComparePaths(a.Path, b.Path) < 0:
		return Change{Path: a.Path, Old: d.from.take()}, nil
	case a == nil || ComparePaths(a.Path, b.Path) > 0:
		return Change{Path: b.Path, New: d.to.take()}, nil
	}
	content, err := d.content(a, b)
	return Change{Path: a.Path, Old: d.from.take(), New: d.to.take(), Content: content, Meta: !sameMeta(a, b)}, err
}

func sameMeta(a, b *Entry) bool {
	return a.Kind == b.Kind && a.Mode == b.Mode && a.UID == b.UID && a.GID == b.GID && a.MTime == b.MTime &&
		a.Target == b.Target && a.Device == b.Device &&
		slices.EqualFunc(a.Xattrs, b.Xattrs, func(x, y Xattr) bool { return x.Name == y.Name && string(x.Value) == string(y.Value) })
}

// content tells whether the bytes of two files differ, without reading them.
func (d *differ) content(a, b *Entry) (bool, error) {
	if !a.hasData() || !b.hasData() {
		return a.hasData() != b.hasData(), nil
	}
	if a.File.Size != b.File.Size || a.File.Chunk != b.File.Chunk {
		return true, nil // hashes of other chunks cannot be compared
	}
	for {
		x, at, err1 := d.from.chunk(a.File.Chunk)
		y, bt, err2 := d.to.chunk(b.File.Chunk)
		if err := errors.Join(err1, err2); err != nil {
			return false, err
		}
		if x != y || at != bt || at < 0 {
			return x != y || at != bt, nil
		}
	}
}

// chunk gives hash and offset of the next chunk that is stored; -1 after the last.
func (s *side) chunk(size int64) (sum Sum, at int64, err error) {
	if s.run != nil && s.used == len(s.run.Sums) {
		s.run = nil
	}
	if s.run == nil {
		s.run, err = s.m.NextRun()
		s.used = 0
		if errors.Is(err, io.EOF) {
			return Sum{}, -1, nil
		}
		if err != nil {
			return Sum{}, 0, err
		}
	}
	s.used++
	return s.run.Sums[s.used-1], s.run.At + int64(s.used-1)*size, nil
}
