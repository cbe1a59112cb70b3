package job

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/memcached"
)

const placePrefix = "warm-dump-"

// A place is a directory that is removed with all in it: by us, or by the next dump if we are killed.
type place struct {
	path string
	lock *os.File
}

func newPlace(folder string) (*place, error) {
	old, err := filepath.Glob(filepath.Join(folder, placePrefix+"*"))
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", folder, err)
	}
	for _, path := range old {
		if p, err := holdPlace(path); err == nil {
			if err := p.remove(); err != nil {
				return nil, fmt.Errorf("cannot remove what a killed dump left: %w", err)
			}
		}
	}
	path, err := os.MkdirTemp(folder, placePrefix)
	if err != nil {
		return nil, fmt.Errorf("cannot make a folder for the dump: %w", err)
	}
	return holdPlace(path)
}

// holdPlace fails where another dump is at work.
func holdPlace(path string) (*place, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot lock %s: %w", path, err), f.Close())
	}
	return &place{path, f}, nil
}

func (p *place) dir(name string) string { return filepath.Join(p.path, name) }

func (p *place) remove() error { return errors.Join(os.RemoveAll(p.path), p.lock.Close()) }

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
