package job

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/stored"
)

// NodeLabel is the label that names the node in its ring; a dump without a ring has none.
const NodeLabel = "cache-node"

// A Dump is what to dump, and where to.
type Dump struct {
	Repository *snapshot.Repository
	Holder     snapshot.Holder
	About      snapshot.About
	Node       string                      // our name in the ring; empty: there is none
	Keep       int                         // dumps of this node that stay; 0: all
	Scratch    string                      // folder for the content until it is published, and for lists
	Options    dump.Options                // Dir, Scratch and Locks are set here
	Before     func(context.Context) error // a last look before the commit; may be nil
	Grows      func(dir string)            // is told where the content grows; may be nil
}

// A Dumped is what became of it.
type Dumped struct {
	*dump.Report
	Snapshot snapshot.Snapshot
	Dropped  []snapshot.ID // by retention
	Untidy   error         // of retention: the dump stands
}

// Run dumps and publishes.
func (d Dump) Run(ctx context.Context) (made Dumped, err error) {
	place, err := newPlace(d.Scratch)
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, place.remove()) }()
	o := d.Options
	o.Dir, o.Scratch, o.Locks = place.dir("content"), place.dir("lists"), d.Scratch
	if err := errors.Join(os.Mkdir(o.Dir, 0o700), os.Mkdir(o.Scratch, 0o700)); err != nil {
		return made, err
	}
	if d.Grows != nil {
		d.Grows(o.Dir)
	}
	if made.Report, err = dump.Dump(ctx, o); err != nil {
		return made, err
	}
	breakpoint.At("warm:dumped")
	if d.Before != nil {
		if err := d.Before(ctx); err != nil {
			return made, err
		}
	}
	about := d.About
	if d.Node != "" {
		labels := map[string]string{NodeLabel: d.Node}
		for name, value := range about.Labels {
			labels[name] = value
		}
		about.Labels = labels
	}
	if made.Snapshot, err = stored.Save(ctx, d.Repository, d.Holder, o.Dir, o.Scratch, about); err != nil {
		return made, err
	}
	made.Dropped, made.Untidy = d.tidy(ctx)
	return made, nil
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
// those that are damaged do not count.
func older(live []snapshot.Snapshot, node string, keep int) (old []snapshot.ID) {
	kept := 0
	for i := len(live) - 1; i >= 0; i-- { // newest first
		s := &live[i]
		if s.About.Mode != stored.Mode || s.About.Labels[NodeLabel] != node || s.Pin != "" {
			continue
		}
		if kept >= keep {
			old = append(old, s.ID)
		} else if s.Damaged == "" {
			kept++
		}
	}
	return old
}

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
