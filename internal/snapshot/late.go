package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// late stores what WriteOptions.Late gives, now that all else has been read and stored, and merges it into
// the manifest in copied. It gives the writer of what copied then holds.
func (d *Draft) late(ctx context.Context, o WriteOptions, head Header, first *manifestWriter, list *packList, copied *os.File) (m *manifestWriter, err error) {
	items, err := o.Late()
	if err != nil || items == nil {
		return first, err
	}
	own, err := os.CreateTemp(o.Scratch, "late-*.tmp")
	if err != nil {
		return nil, fmt.Errorf("scratch directory: %w", err)
	}
	defer func() { err = errors.Join(err, own.Close(), os.Remove(own.Name())) }()
	second, err := newManifestWriter(own, head)
	if err != nil {
		return nil, err
	}
	o.Parent = nil
	if err := d.pipeline(ctx, o, second, list, items); err != nil {
		return nil, err
	}
	return d.merged(o, head, draftManifest{first, copied}, draftManifest{second, own})
}

// A draftManifest is one that has been written to a file and not yet finished.
type draftManifest struct {
	*manifestWriter
	file *os.File
}

// merged makes one manifest of two, in the file of the first.
func (d *Draft) merged(o WriteOptions, head Header, a, b draftManifest) (m *manifestWriter, err error) {
	whole, err := os.CreateTemp(o.Scratch, "merged-*.tmp")
	if err != nil {
		return nil, fmt.Errorf("scratch directory: %w", err)
	}
	defer func() { err = errors.Join(err, whole.Close(), os.Remove(whole.Name())) }()
	first, err := d.again(a)
	if err != nil {
		return nil, err
	}
	second, err := d.again(b)
	if err != nil {
		return nil, err
	}
	// The lines go to another file first: the one they come from is being read.
	g := merger{a: first, b: second}
	if g.to, err = newManifestWriter(whole, head); err != nil {
		return nil, err
	}
	if err := g.run(); err != nil {
		return nil, fmt.Errorf("add what came late: %w", err)
	}
	return g.to, errors.Join(first.Close(), second.Close(), g.to.moveTo(whole, a.file))
}

// again finishes a manifest and opens it to be read.
func (d *Draft) again(m draftManifest) (*Manifest, error) {
	object, err := m.finish()
	if err != nil {
		return nil, fmt.Errorf("write the manifest in the scratch directory: %w", err)
	}
	body := io.NopCloser(io.NewSectionReader(m.file, 0, object.Size))
	return OpenManifest(body, d.repo.ID, Snapshot{ID: d.Snapshot.ID, Manifest: object})
}

// moveTo goes on in another file, in place of what that held.
func (m *manifestWriter) moveTo(from, to *os.File) error {
	err := m.enc.Flush()
	if err == nil {
		err = to.Truncate(0)
	}
	for _, f := range []*os.File{from, to} {
		if err == nil {
			_, err = f.Seek(0, io.SeekStart)
		}
	}
	if err == nil {
		_, err = io.Copy(to, from)
	}
	m.out = to
	if err != nil {
		return fmt.Errorf("write the manifest in the scratch directory: %w", err)
	}
	return nil
}

// A merger puts the entries of b among those of a, in place of a's of the same path; of a directory that
// both have, a's stays.
type merger struct {
	a, b *Manifest
	to   *manifestWriter
}

func (g *merger) run() error {
	old, err := nextOf(g.a)
	if err != nil {
		return err
	}
	add, err := nextOf(g.b)
	for err == nil && (old != nil || add != nil) {
		order := -1
		switch {
		case old == nil:
			order = 1
		case add != nil:
			order = ComparePaths(old.Path, add.Path)
		}
		switch {
		case order < 0 || order == 0 && old.Kind == Dir && add.Kind == Dir:
			err = g.take(g.a, old)
		case order == 0:
			err = g.replace(old, add)
		default:
			err = g.take(g.b, add)
		}
		if err == nil && order <= 0 {
			old, err = nextOf(g.a)
		}
		if err == nil && order >= 0 {
			add, err = nextOf(g.b)
		}
	}
	return err
}

// nextOf is the next entry, nil at the end.
func nextOf(m *Manifest) (*Entry, error) {
	e, err := m.NextEntry()
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	return e, err
}

func (g *merger) replace(old, add *Entry) error {
	if old.Kind == Dir {
		return fmt.Errorf("%.200q is a directory of the tree, and a %s came late", old.Path, add.Kind)
	}
	if old.Kind != Link && old.File.Links > 1 {
		return fmt.Errorf("%.200q has several names in the tree: it cannot be replaced by what came late", old.Path)
	}
	return g.take(g.b, add)
}

// take copies an entry with its runs.
func (g *merger) take(from *Manifest, e *Entry) error {
	if err := g.to.entry(e); err != nil {
		return err
	}
	for {
		r, err := from.NextRun()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = g.to.run(r)
		}
		if err != nil {
			return err
		}
	}
}
