package snapshot

import (
	"errors"
	"io"
)

// A parent walks the last snapshot's manifest beside the new one; neither is ever held whole.
type parent struct {
	from  *Manifest // nil for none
	entry *Entry    // the first one not yet passed; nil at the end
	run   *Run      // the first one of entry not yet passed
}

func newParent(from *Manifest) (*parent, error) {
	p := &parent{from: from}
	return p, p.step()
}

// step goes to the next entry.
func (p *parent) step() (err error) {
	p.entry, p.run = nil, nil
	if p.from == nil {
		return nil
	}
	p.entry, err = p.from.NextEntry()
	if errors.Is(err, io.EOF) {
		p.entry, err = nil, nil
	}
	return err
}

// find goes to path and gives what the parent has there, nil for nothing.
func (p *parent) find(path string) (*Entry, error) {
	for p.entry != nil && ComparePaths(p.entry.Path, path) < 0 {
		if err := p.step(); err != nil {
			return nil, err
		}
	}
	if p.entry == nil || p.entry.Path != path {
		return nil, nil
	}
	return p.entry, p.advance()
}

// advance goes to the next run of the entry.
func (p *parent) advance() (err error) {
	p.run, err = p.from.NextRun()
	if errors.Is(err, io.EOF) {
		p.run, err = nil, nil
	}
	return err
}

// finish reads to the end, where the manifest is compared with what the catalog says of it.
func (p *parent) finish() error {
	for p.entry != nil {
		if err := p.step(); err != nil {
			return err
		}
	}
	return nil
}

// chunks gives what the parent has of the range: one oldChunk for each chunk of it.
func (p *parent) chunks(at int64, n int, chunk int64) ([]oldChunk, error) {
	if p.run == nil {
		return nil, nil
	}
	old := make([]oldChunk, (int64(n)+chunk-1)/chunk)
	for i := range old {
		here := at + int64(i)*chunk
		for p.run != nil && p.run.At+p.run.Len <= here {
			if err := p.advance(); err != nil {
				return nil, err
			}
		}
		if p.run != nil && p.run.At <= here {
			old[i] = p.run.chunkAt(here, chunk)
		}
	}
	return old, nil
}

// chunkAt is the chunk that starts at a place of the file that the run covers.
func (r *Run) chunkAt(at, chunk int64) oldChunk {
	off := at - r.At
	return oldChunk{sum: r.Sums[off/chunk], n: min(chunk, r.Len-off), frame: r.Frame, skip: r.Skip + off}
}

// unchanged tells whether e is, by size, times and inode, what the parent holds.
func unchanged(old, e *Entry) bool {
	return old != nil && old.Kind == File && e.Kind == File && !old.File.Racy &&
		old.File.Size == e.File.Size && old.MTime == e.MTime &&
		old.File.CTime == e.File.CTime && old.File.Inode == e.File.Inode
}
