package backup

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
)

// leftAlone is how many killed backups are cleared away by the next success alone: the one that was killed by a stop
// must not keep the stop's own waiting.
const leftAlone = 1

// clear removes what earlier backups with this scratch directory have left in the store, because they were killed:
// those that are killed again and again would fill it.
func (t *taking) clear(ctx context.Context) {
	marked, err := t.work.marked(t.o.Repository.ID)
	if err == nil && len(marked) > leftAlone {
		if err = t.bury(ctx); err == nil {
			_, err = t.o.Repository.Collect(ctx, t.o.Holder, false)
		}
	}
	if err != nil {
		t.o.Log.Warn("what earlier backups left in the store was not removed: the next one tries again", "error", err)
	}
}

// afterTheEnd bounds how long a backup whose time is over goes on to remove what it has stored: in a run it is killed
// soon, and is to say before that why it failed. What is left then goes with a later one.
const afterTheEnd = 2 * time.Second

// giveUp removes what a backup has stored that has failed, for the same reason. Where the store is full, garbage of
// others goes, too. A backup that was ended is ended, and a store that does not answer is asked no further: then the
// next backup clears it away.
func (t *taking) giveUp(ctx context.Context, d *snapshot.Draft, why error) {
	for _, out := range []error{store.ErrUnreachable, store.ErrCredentials, store.ErrNoPlace, store.ErrUnusable, snapshot.ErrUncertain} {
		if errors.Is(why, out) {
			return
		}
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), afterTheEnd)
		defer cancel()
	}
	err := d.Discard(ctx)
	if err == nil {
		err = t.work.unmark(t.o.Repository.ID, d.Snapshot.ID)
	}
	if err == nil && errors.Is(why, store.ErrFull) {
		_, err = t.o.Repository.Collect(ctx, t.o.Holder, false)
	}
	if err != nil {
		t.o.Log.Warn("not all that the failed backup has left in the store was removed: the next one tries again", "error", err)
	}
}

// bury declares dead what earlier backups with this scratch directory began and never published, because
// they were killed or failed: under the same token nothing else would ever collect it.
func (t *taking) bury(ctx context.Context) error {
	repo := t.o.Repository.ID
	marked, err := t.work.marked(repo)
	if err != nil {
		return err
	}
	c, err := t.o.Repository.Catalog(ctx)
	if err != nil {
		return err
	}
	dead := slices.DeleteFunc(slices.Clone(marked), func(id snapshot.ID) bool {
		_, live := c.Find(id)
		return live || id.Token() < c.Token // those are garbage by their token
	})
	if len(dead) > 0 {
		if _, err := t.o.Repository.Abandon(ctx, t.o.Holder, dead); err != nil {
			return err
		}
	}
	for _, id := range marked {
		err = errors.Join(err, t.work.unmark(repo, id))
	}
	return err
}
