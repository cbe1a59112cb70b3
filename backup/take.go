package backup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
)

// Options are what a backup needs beside its source.
type Options struct {
	Repository *snapshot.Repository
	Holder     snapshot.Holder
	// About is copied into the snapshot; Mode and Preset are filled in here.
	About snapshot.About
	// Scratch is an existing directory for what must be kept between backups (the last manifest, so that
	// an increment reads nothing from the store) and while one is made. One backup at a time uses it. The
	// user of the commands must be able to pass through the directories above it.
	Scratch string
	// Before is asked right before the commit; its error publishes nothing. nil: nobody is asked.
	Before      func(context.Context) error
	Full        bool // builds on no other snapshot
	AllowShrink bool // also publishes what is much smaller than before, and an empty tree
	Workers     int  // as of snapshot.WriteOptions
	Progress    *snapshot.Progress
	Log         *slog.Logger
}

// A Result is a snapshot that was published, and what is to be said of it.
type Result struct {
	Snapshot snapshot.Snapshot
	Lacks    string // one line on what the copy lacks: sockets, other mounts, ...; empty: nothing
	Torn     int64  // files that changed while they were read: of Live, or by leave of the freeze command
	LeftOut  int64  // entries that were gone when they were to be read, and read as zeros or not at all
	Took     time.Duration
}

// tries bounds how often a backup begins anew because its parent was removed or it took too many commits.
const tries = 3

// Take makes one snapshot of src and publishes it. After an error nothing was published, but for
// snapshot.ErrUncertain, where the catalog has not told.
func Take(ctx context.Context, src Source, o Options) (Result, error) {
	began := time.Now()
	if err := src.Check(); err != nil {
		return Result{}, err
	}
	work, err := openScratch(o.Scratch, src.Run.Credential)
	if err != nil {
		return Result{}, err
	}
	t := &taking{src: src, o: o.filled(), work: work}
	t.clear(ctx)
	r, err := t.tries(ctx)
	r.Took = time.Since(began)
	if closed := work.close(); closed != nil {
		t.o.Log.Warn("scratch directory was not tidied", "error", closed)
	}
	return r, err
}

func (o Options) filled() Options {
	if o.Progress == nil {
		o.Progress = &snapshot.Progress{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// A taking is one call of Take.
type taking struct {
	src    Source
	o      Options
	work   *scratch
	meddle func(*body) // of tests: acts while the source is read
}

func (t *taking) tries(ctx context.Context) (r Result, err error) {
	full := t.o.Full
	for n := range tries {
		r, err = t.once(ctx, full)
		anew := errors.Is(err, snapshot.ErrParentGone) || errors.Is(err, snapshot.ErrOutdated)
		if !anew || ctx.Err() != nil {
			return r, err
		}
		// What cannot be read as a parent now will not be readable the next time.
		full = full || errors.Is(err, snapshot.ErrDamaged) || n == tries-2
		t.o.Log.Warn("backup begins anew", "full", full, "cause", err)
	}
	return r, err
}

// once is one try. Everything that it opens is closed before it publishes.
func (t *taking) once(ctx context.Context, full bool) (Result, error) {
	p := t.o.Progress
	p.Entries.Store(0)
	p.Bytes.Store(0)
	p.Reused.Store(0)
	p.Stored.Store(0)
	about := t.o.About
	about.Mode, about.Preset = string(t.src.Mode), t.src.Preset
	d, err := t.o.Repository.Begin(ctx, t.o.Holder, snapshot.BeginOptions{About: about, Full: full, Like: t.like})
	if err != nil {
		return Result{}, err
	}
	if err := t.work.mark(t.o.Repository.ID, d.Snapshot.ID); err != nil {
		return Result{}, fmt.Errorf("scratch directory: %w", err)
	}
	r, err := t.finish(ctx, d)
	if err != nil {
		t.giveUp(ctx, d, err)
	}
	return r, err
}

// finish writes and publishes what was begun.
func (t *taking) finish(ctx context.Context, d *snapshot.Draft) (Result, error) {
	point("begun")
	kept, r, err := t.write(ctx, d)
	if err != nil {
		return Result{}, err
	}
	point("written")
	err = t.guard(ctx, d)
	if err == nil && t.o.Before != nil {
		err = t.o.Before(ctx)
	}
	if err == nil {
		r.Snapshot, err = t.publish(ctx, d)
	}
	if err != nil {
		return Result{}, errors.Join(err, t.work.drop(kept))
	}
	point("published")
	if err := t.bury(ctx); err != nil {
		t.o.Log.Warn("what earlier backups left in the store was not given up: the next one tries again", "error", err)
	}
	if err := t.work.keep(kept, t.keptName()); err != nil {
		t.o.Log.Warn("the manifest was not kept: the next backup reads it from the store", "error", err)
	}
	return r, nil
}

// like tells which snapshots may be the parent: all copies of the tree, or the same kind of dump.
func (t *taking) like(s snapshot.Snapshot) bool {
	if t.src.Mode.tree() {
		return Mode(s.About.Mode).tree() && s.About.Preset == ""
	}
	return s.About.Mode == string(t.src.Mode) && s.About.Preset == t.src.Preset
}

// write stores what the source gives. It returns the path of the manifest's copy.
func (t *taking) write(ctx context.Context, d *snapshot.Draft) (kept string, r Result, err error) {
	parent, err := t.parent(ctx, d)
	if err != nil {
		return "", r, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	b, err := t.open(ctx, cancel)
	if err == nil {
		if t.meddle != nil {
			t.meddle(b)
		}
		o := snapshot.WriteOptions{Parent: parent, Scratch: t.work.dir, Workers: t.o.Workers, Progress: t.o.Progress, Late: b.late}
		kept, err = d.Write(ctx, o, b.items)
		// An error of the source explains the one of Write, which may be no more than its end.
		err = errors.Join(b.close(), err)
		r = b.result()
		t.label(d, r)
	}
	if parent != nil {
		err = errors.Join(err, parent.Close())
	}
	if errors.Is(err, snapshot.ErrChanged) {
		err = fmt.Errorf("%w: expected the data at rest: stop or freeze whatever writes there", err)
	}
	if err != nil {
		return "", r, errors.Join(err, t.work.drop(kept))
	}
	return kept, r, nil
}

// parent opens the manifest that the draft builds on.
func (t *taking) parent(ctx context.Context, d *snapshot.Draft) (*snapshot.Manifest, error) {
	if d.Parent.ID == "" {
		return nil, nil
	}
	m, err := t.o.Repository.ParentManifest(ctx, t.work.path(t.keptName()), d.Parent)
	if err == nil {
		return m, nil
	}
	if errors.Is(err, snapshot.ErrIdentity) {
		t.o.Log.Warn("full backup: the last manifest is encrypted and no copy of it is kept here", "parent", d.Parent.ID)
		return nil, nil
	}
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, snapshot.ErrDamaged) {
		return nil, fmt.Errorf("%w: %w", snapshot.ErrParentGone, err)
	}
	return nil, err
}

// label tells in the snapshot itself what a live copy found.
func (t *taking) label(d *snapshot.Draft, r Result) {
	if t.src.Mode != Live || r.Torn == 0 && r.LeftOut == 0 {
		return
	}
	labels := map[string]string{"torn": fmt.Sprint(r.Torn), "left-out": fmt.Sprint(r.LeftOut)}
	maps.Copy(labels, d.Snapshot.About.Labels)
	d.Snapshot.About.Labels = labels
}

// point is a break point such as backup:written.
func point(step string) {
	if breakpoint.On {
		breakpoint.At("backup:" + step)
	}
}
