package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/interlock-run/interlock/internal/snapshot"
)

// guard refuses what is empty or suspiciously small, before it is published.
func (t *taking) guard(ctx context.Context, d *snapshot.Draft) error {
	s := &d.Snapshot
	if t.o.AllowShrink {
		return nil
	}
	if t.src.Mode.tree() && s.Entries <= 1 {
		return fmt.Errorf("%w: directory %q is empty: check that it is the right one and mounted, or allow it (--allow-shrink, in a configuration backup.allow_shrink)", ErrEmpty, t.src.Data)
	}
	before, err := t.before(ctx, d)
	if err != nil {
		return err
	}
	// A stream is one entry, always.
	if 2*s.Entries < before.Entries || 2*s.Bytes < before.Bytes {
		return fmt.Errorf("%w: %d entries with %d bytes, snapshot %s has %d with %d: check the service, or allow it (--allow-shrink, in a configuration backup.allow_shrink)",
			ErrShrunk, s.Entries, s.Bytes, before.ID, before.Entries, before.Bytes)
	}
	return nil
}

// before is the snapshot that this one is compared with, also when it builds on none.
func (t *taking) before(ctx context.Context, d *snapshot.Draft) (snapshot.Snapshot, error) {
	if d.Parent.ID != "" {
		return d.Parent, nil
	}
	c, err := t.o.Repository.Catalog(ctx)
	if err != nil {
		return snapshot.Snapshot{}, err
	}
	for _, s := range slices.Backward(c.Live) {
		if s.Damaged == "" && t.like(s) {
			return s, nil
		}
	}
	return snapshot.Snapshot{}, nil
}

// asks bounds how often the catalog is asked what became of a commit.
const asks = 4

// publish commits the draft. Where the store has left open whether it did, the catalog is asked.
func (t *taking) publish(ctx context.Context, d *snapshot.Draft) (snapshot.Snapshot, error) {
	for n := range asks {
		s, err := d.Publish(ctx)
		if !errors.Is(err, snapshot.ErrUncertain) {
			return s, err
		}
		t.o.Log.Warn("the store left open whether the snapshot was published: asking again", "snapshot", d.Snapshot.ID, "cause", err)
		if c, asked := t.o.Repository.Catalog(ctx); asked == nil {
			if live, there := c.Find(d.Snapshot.ID); there {
				return *live, nil
			}
		}
		if n == asks-1 || !pause(ctx, time.Second<<n) {
			return s, err
		}
	}
	return snapshot.Snapshot{}, nil
}

// pause waits, unless the context ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
