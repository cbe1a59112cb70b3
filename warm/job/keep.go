package job

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/warm/stored"
)

// coldFor is how long after its start a server may be cold. One that has not come half as far as before by then
// has another content.
const coldFor = 6 * time.Hour

// isCold tells of a dump that it was made of a cache that had just started and was far from full.
func isCold(s *snapshot.Snapshot) bool { return s.About.Labels[ColdLabel] != "" }

// coldAfter gives the dump of a node that has more than twice as many items as one that is being made, if the
// server had just started.
func coldAfter(live []snapshot.Snapshot, node string, items int64, uptime time.Duration) snapshot.ID {
	if uptime >= coldFor {
		return ""
	}
	for i := len(live) - 1; i >= 0; i-- { // newest first
		s := &live[i]
		if !of(s, node) || s.Damaged != "" || isCold(s) {
			continue
		}
		before, err := strconv.ParseInt(s.About.Labels[ItemsLabel], 10, 64)
		if err == nil && 2*items < before {
			return s.ID
		}
		return ""
	}
	return ""
}

func of(s *snapshot.Snapshot, node string) bool {
	return s.About.Mode == stored.Mode && s.About.Labels[NodeLabel] == node
}

// tidy is retention: of this node's dumps the newest stay.
func (d Dump) tidy(ctx context.Context) ([]snapshot.ID, error) {
	if d.Keep <= 0 {
		return nil, nil
	}
	cat, err := d.Repository.Catalog(ctx)
	if err != nil {
		return nil, fmt.Errorf("retention: %w", err)
	}
	old := older(cat.Live, d.Node, d.Keep)
	if len(old) == 0 {
		return nil, nil
	}
	if _, err := d.Repository.Forget(ctx, d.Holder, old, false); err != nil {
		return nil, fmt.Errorf("retention: %w", err)
	}
	breakpoint.At("warm:forgotten")
	if _, err = d.Repository.Collect(ctx, d.Holder, false); err != nil {
		err = fmt.Errorf("retention: %w", err)
	}
	return old, err
}

// older are the dumps of a node beyond the newest ones. Those that are pinned are no one's to remove, and
// those that are damaged do not count. Dumps of a cold cache take no other's place, and go once a full one
// has followed.
func older(live []snapshot.Snapshot, node string, keep int) (old []snapshot.ID) {
	full, cold := 0, 0
	for i := len(live) - 1; i >= 0; i-- { // newest first
		s := &live[i]
		if !of(s, node) || s.Pin != "" {
			continue
		}
		kept, most := &full, keep
		if isCold(s) {
			if kept = &cold; full > 0 {
				most = 0
			}
		}
		if *kept >= most {
			old = append(old, s.ID)
		} else if s.Damaged == "" {
			*kept++
		}
	}
	return old
}
