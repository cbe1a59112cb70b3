package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Manifest opens the manifest of a live snapshot in the store.
func (r *Repository) Manifest(ctx context.Context, s Snapshot) (*Manifest, error) {
	if !r.Readable() {
		return nil, fmt.Errorf("%s: %w", s.ID.manifestKey(), r.locked())
	}
	body, err := r.store.Get(ctx, s.ID.manifestKey(), 0, -1)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.ID.manifestKey(), err)
	}
	return openManifest(body, r.opened, r.ID, s)
}

// Wants gives all runs of all entries that are left in a manifest, each for the entry's path.
func (m *Manifest) Wants() iter.Seq2[Want, error] {
	return func(yield func(Want, error) bool) {
		for {
			e, err := m.NextEntry()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Want{}, err)
				return
			}
			if !m.EntryWants(e)(yield) {
				return
			}
		}
	}
}

// EntryWants gives the runs of the present entry; the function tells whether to go on.
func (m *Manifest) EntryWants(e *Entry) func(yield func(Want, error) bool) bool {
	return func(yield func(Want, error) bool) bool {
		path, chunk := e.Path, e.File.Chunk
		for {
			run, err := m.NextRun()
			if errors.Is(err, io.EOF) {
				return true
			}
			if err != nil {
				yield(Want{}, err)
				return false
			}
			if !yield(Want{*run, chunk, path}, nil) {
				return false
			}
		}
	}
}
