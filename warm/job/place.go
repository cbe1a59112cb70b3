package job

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/tempdir"
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/memcached"
)

const placePrefix = "warm-dump-"

// newPlace makes a directory for a dump, and removes those of killed ones: they take as much space as it will.
func newPlace(folder string) (*tempdir.Dir, error) {
	if err := tempdir.Sweep(folder, placePrefix); err != nil {
		return nil, fmt.Errorf("cannot remove what a killed dump left: %w", err)
	}
	d, err := tempdir.Make(folder, placePrefix)
	if err != nil {
		return nil, fmt.Errorf("cannot make a folder for the dump: %w", err)
	}
	return d, nil
}

// ErrNoSpace is that a dump would not fit into its folder.
var ErrNoSpace = errors.New("not enough space for the dump until it is published")

// lineSpace is what the lists take for an item, and what is around its value in the dump.
const lineSpace = 200

// enough refuses a dump for which there is no space, before the server is asked for anything that costs.
func enough(ctx context.Context, folder string, o dump.Options) error {
	c, err := memcached.Dial(ctx, o.Server, memcached.Options{})
	if err != nil {
		return err
	}
	defer c.Close()
	st, err := c.State()
	if err != nil {
		return err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(folder, &fs); err != nil {
		return fmt.Errorf("folder %s: %w", folder, err)
	}
	if left, need := int64(fs.Bavail)*fs.Bsize, spaceOf(st, o.Limit.Bytes); left < need {
		return fmt.Errorf("%w: %s has %d MiB left, %d items of memcached %s take up to %d MiB: expected another folder (--scratch), or a limit (warm.budget.bytes)",
			ErrNoSpace, folder, left>>20, st.Items, o.Server, need>>20)
	}
	return nil
}

// spaceOf is what a dump takes at most.
func spaceOf(st memcached.State, limit int64) int64 {
	need := st.Bytes
	if limit > 0 {
		need = min(need, limit)
	}
	return need + st.Items*lineSpace
}
