package main

import (
	"context"
	"errors"

	"github.com/interlock-run/interlock/internal/store"
)

// withRoom carries out a commit. Where the store has no room for it, that is made by deleting what is garbage without
// any commit, and the commit is tried once more.
func (d *depot) withRoom(ctx context.Context, who writer, v *pruneView, commit func() error) error {
	full := commit()
	if !errors.Is(full, store.ErrFull) {
		return full
	}
	swept := d.sweep(ctx, v)
	sweep, err := d.repo.Collect(ctx, who.Holder, false)
	v.add(sweep)
	for _, err := range []error{swept, err} {
		if err != nil && !errors.Is(err, store.ErrFull) { // of a look at the store's clock, and of tidying the catalog
			return errors.Join(full, err)
		}
	}
	return commit()
}

// sweep removes the files that killed writers left.
func (d *depot) sweep(ctx context.Context, v *pruneView) error {
	s, is := d.store.(leftoverSweeper)
	if !is {
		return nil
	}
	n, err := s.Sweep(ctx)
	v.Leftovers += n
	return err
}
