package job

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strconv"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/stored"
)

// Labels of dumps.
const (
	NodeLabel  = "cache-node"  // the node's name in its ring; a dump without a ring has none
	ItemsLabel = "cache-items" // how many items it holds
	ColdLabel  = "cache-cold"  // the ID of the dump before, of which this one, of a server that had just started, has less than half
)

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
	defer func() {
		if !errors.Is(err, drain.ErrStuck) { // its disk hangs: the next dump removes it
			err = errors.Join(err, place.Remove())
		}
	}()
	o := d.Options
	o.Dir, o.Scratch, o.Locks = filepath.Join(place.Path, "content"), filepath.Join(place.Path, "lists"), d.Scratch
	if err := errors.Join(os.Mkdir(o.Dir, 0o700), os.Mkdir(o.Scratch, 0o700)); err != nil {
		return made, err
	}
	if d.Grows != nil {
		d.Grows(o.Dir)
	}
	if err := enough(ctx, d.Scratch, o); err != nil {
		return made, err
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
	about, err := d.about(ctx, made.Report)
	if err != nil {
		return made, err
	}
	if made.Snapshot, err = stored.Save(ctx, d.Repository, d.Holder, o.Dir, o.Scratch, about); err != nil {
		return made, err
	}
	made.Dropped, made.Untidy = d.tidy(ctx)
	return made, nil
}

// about is what the dump says of itself.
func (d Dump) about(ctx context.Context, r *dump.Report) (snapshot.About, error) {
	about := d.About
	about.Labels = maps.Clone(about.Labels)
	if about.Labels == nil {
		about.Labels = map[string]string{}
	}
	if d.Node != "" {
		about.Labels[NodeLabel] = d.Node
	}
	items := r.Cache.Counts.Items
	about.Labels[ItemsLabel] = strconv.FormatInt(items, 10)
	cat, err := d.Repository.Catalog(ctx)
	if err != nil {
		return about, err
	}
	if before := coldAfter(cat.Live, d.Node, items, r.Uptime); before != "" {
		about.Labels[ColdLabel] = string(before)
	}
	return about, nil
}
