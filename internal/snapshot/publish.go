package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Draft is a snapshot that is being made: Begin, then Write, then Publish.
type Draft struct {
	// Snapshot is what will be published. About may be changed until then.
	Snapshot Snapshot
	// Parent is the live snapshot that unchanged files and chunks are taken from; zero for none. Its manifest
	// goes into WriteOptions.
	Parent  Snapshot
	repo    *Repository
	begun   uint64
	chunk   int64
	attempt *attempt
	packs   int  // that are stored or on their way
	used    bool // by Write
	written bool
	unsure  bool // whether it is published
}

// A BeginOptions is what Begin must know.
type BeginOptions struct {
	About     About
	TreeBytes int64 // about how much there is; 0: as much as in the parent
	Full      bool  // no parent
	// Like tells which live snapshots may be the parent; nil: those of the same mode and preset.
	Like func(Snapshot) bool
}

// Begin starts a snapshot on top of the newest one that is like it. It writes nothing.
func (r *Repository) Begin(ctx context.Context, who Holder, o BeginOptions) (*Draft, error) {
	c, err := r.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.admit(&c, who); err != nil {
		return nil, err
	}
	start := r.now().UTC().Truncate(time.Second)
	d := &Draft{repo: r, begun: c.Number, attempt: r.attempt(who, "publish")}
	d.Snapshot = Snapshot{ID: NewID(start, who.Token), Time: start, About: o.About}
	d.Parent = parentIn(&c, o)
	d.Snapshot.Parent = d.Parent.ID
	d.chunk = chunkFor(max(o.TreeBytes, d.Parent.Bytes))
	return d, nil
}

func parentIn(c *Catalog, o BeginOptions) Snapshot {
	like := o.Like
	if like == nil {
		like = func(s Snapshot) bool { return s.About.Mode == o.About.Mode && s.About.Preset == o.About.Preset }
	}
	for _, s := range slices.Backward(c.Live) {
		if !o.Full && s.Damaged == "" && like(s) {
			return s
		}
	}
	return Snapshot{}
}

// Publish commits what Write has stored, and gives it as it stands in the catalog. It may be called again
// after ErrUncertain or an error of the store. ErrParentGone and ErrOutdated: begin anew.
func (d *Draft) Publish(ctx context.Context) (Snapshot, error) {
	if !d.written {
		return Snapshot{}, fmt.Errorf("snapshot %s is published before it was written: %w", d.Snapshot.ID, ErrOrder)
	}
	c, err := d.attempt.run(ctx, d.publish)
	d.unsure = d.unsure || err == nil || errors.Is(err, ErrUncertain)
	if err != nil {
		return Snapshot{}, fmt.Errorf("publish %s: %w", d.Snapshot.ID, err)
	}
	s, live := c.Find(d.Snapshot.ID)
	if !live {
		return Snapshot{}, damaged("publish %s: the commit with our nonce does not have it", d.Snapshot.ID)
	}
	return *s, nil
}

// Discard deletes what Write has stored of a snapshot that was not published, and keeps it from being published.
// It needs no commit, for which a full store has no room. Where a request of Write comes late, something is left
// for Abandon and Collect.
func (d *Draft) Discard(ctx context.Context) error {
	id := d.Snapshot.ID
	if d.unsure && d.repo.on(ruleSure) {
		return fmt.Errorf("snapshot %s is discarded though it was, or may have been, published: %w", id, ErrOrder)
	}
	d.used, d.written = true, false
	for o, err := range d.repo.store.List(ctx, id.folder(), "") {
		if err != nil {
			return fmt.Errorf("list %s: %w", id.folder(), err)
		}
		if err := d.repo.store.Delete(ctx, o.Key); err != nil {
			return fmt.Errorf("delete %s: %w", o.Key, err)
		}
	}
	return nil
}

// first makes a catalog where there is none yet, before the first manifest.
func (d *Draft) first(ctx context.Context) error {
	if d.begun > 0 {
		return nil
	}
	_, err := d.repo.commit(ctx, d.attempt.who, "begin", func(c *Catalog) error {
		if c.Number > 1 {
			return errNothing
		}
		return nil
	})
	return err
}

// publish is the change of the commit.
func (d *Draft) publish(c *Catalog) error {
	id, r := d.Snapshot.ID, d.repo
	if _, live := c.Find(id); live {
		return errNothing
	}
	if r.on(ruleDead) && c.dead(id) {
		return fmt.Errorf("%w: it was published, and removed again", ErrOutdated)
	}
	if r.on(ruleAge) && c.Number > d.begun+r.windows.publish {
		return fmt.Errorf("%w: begun at commit %d, this would be %d, expected %d at most", ErrOutdated, d.begun, c.Number, d.begun+r.windows.publish)
	}
	if parent := d.Snapshot.Parent; r.on(ruleParent) && parent != "" {
		if _, live := c.Find(parent); !live {
			return fmt.Errorf("%w: %s", ErrParentGone, parent)
		}
	}
	s := d.Snapshot
	s.Number = c.Number
	c.Live = append(c.Live, s)
	return nil
}

// Claim commits the token and nothing else: a holder's first act, before it chooses what to restore. After
// it no earlier holder publishes anything. It returns the catalog to choose from.
func (r *Repository) Claim(ctx context.Context, who Holder) (Catalog, error) {
	_, err := r.commit(ctx, who, "claim", func(c *Catalog) error {
		if who.Token == 0 {
			return fmt.Errorf("%w: a claim needs a token", ErrScope)
		}
		if c.Token == who.Token {
			return errNothing
		}
		return nil
	})
	if err != nil {
		return Catalog{}, err
	}
	c, err := r.Catalog(ctx) // what was settled may be old by now
	if err != nil {
		return Catalog{}, err
	}
	return c, r.admit(&c, who)
}
