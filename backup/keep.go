package backup

import (
	"context"
	"errors"
	"fmt"

	"github.com/interlock-run/interlock/internal/snapshot"
)

// A Pruned is what retention did.
type Pruned struct {
	Forgotten []snapshot.ID
	Sweep     snapshot.Sweep
}

// Keep is retention after a successful backup: what keep does not want is forgotten, then garbage is
// collected. It is the same holder's: snapshot.ErrFencedOff says that a later one has taken over. Its errors
// say nothing against the backup. Uploads under the current token are left alone.
func Keep(ctx context.Context, r *snapshot.Repository, who snapshot.Holder, keep snapshot.Keep) (Pruned, error) {
	c, err := r.Catalog(ctx)
	if err != nil {
		return Pruned{}, fmt.Errorf("retention: %w", err)
	}
	if who.Token < c.Token {
		return Pruned{}, fmt.Errorf("retention: %w: token %s, catalog %d has %s", snapshot.ErrFencedOff, who.Token, c.Number, c.Token)
	}
	var p Pruned
	if drop := keep.Drop(c.Live); len(drop) > 0 {
		if _, err := r.Forget(ctx, who, drop, false); err != nil {
			return p, fmt.Errorf("retention: %w", err)
		}
		p.Forgotten = drop
	}
	p.Sweep, err = r.Collect(ctx, who, false)
	if err != nil {
		err = fmt.Errorf("retention: %w", errors.Join(err))
	}
	return p, err
}
