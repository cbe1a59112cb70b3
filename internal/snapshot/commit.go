package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/store"
)

// A Holder is who commits: the zero Holder has no lock, which only a repository without a scope admits.
type Holder struct {
	Token fence.Token
	Scope Scope
}

// commitTries bounds the tries of one commit. Each is lost only to another one's commit.
const commitTries = 64

// errNothing says that a change has nothing to change: the catalog is as wanted.
var errNothing = errors.New("nothing to commit")

// Catalog reads the newest catalog. A repository without one has the zero Catalog.
func (r *Repository) Catalog(ctx context.Context) (Catalog, error) {
	for range commitTries {
		number, err := r.newestNumber(ctx)
		if err != nil || number == 0 {
			return Catalog{Format: Format, Repository: r.ID}, err
		}
		c, err := r.readCatalog(ctx, number)
		if !errors.Is(err, store.ErrNotFound) { // else it was tidied away meanwhile
			return c, err
		}
	}
	return Catalog{}, damaged("the newest catalog is listed, and is not there")
}

func (r *Repository) newestNumber(ctx context.Context) (uint64, error) {
	known := r.newest.Load()
	number, err := r.lastAfter(ctx, known)
	if err != nil {
		return 0, err
	}
	number = max(number, known)
	r.newest.Store(number)
	return number, nil
}

// lastAfter is the highest number above n, or 0.
func (r *Repository) lastAfter(ctx context.Context, n uint64) (last uint64, err error) {
	for o, err := range r.store.List(ctx, catalogPrefix, catalogKey(n)) {
		if err != nil {
			return 0, fmt.Errorf("list %s: %w", catalogPrefix, err)
		}
		if number, ok := catalogNumber(o.Key); ok {
			last = max(last, number)
		}
	}
	return last, nil
}

func (r *Repository) readCatalog(ctx context.Context, number uint64) (Catalog, error) {
	data, err := fetchAll(ctx, r.store, catalogKey(number), maxCatalog)
	if err != nil {
		return Catalog{}, fmt.Errorf("%s: %w", catalogKey(number), err)
	}
	return decodeCatalog(data, r.ID, number)
}

// admit tells whether who may commit on top of c.
func (r *Repository) admit(c *Catalog, who Holder) error {
	if who.Token != 0 && who.Scope == (Scope{}) {
		return fmt.Errorf("%w: token %s without the name of its lock", ErrScope, who.Token)
	}
	for _, scope := range []Scope{r.Scope, c.Scope} {
		if r.on(ruleScope) && scope != (Scope{}) && scope != who.Scope {
			return fmt.Errorf("%w: %s (%s), this is %q (%s): use its own repository, or the holder's token", ErrScope, scope.Lock, scope.Kind, who.Scope.Lock, who.Scope.Kind)
		}
	}
	if r.on(ruleFence) && who.Token < c.Token {
		return fmt.Errorf("%w: token %s, catalog %d has %s", ErrFencedOff, who.Token, c.Number, c.Token)
	}
	return nil
}

// commit makes the next catalog out of the newest by change, which may be called again for a newer one.
// errNothing of change ends it well.
func (r *Repository) commit(ctx context.Context, who Holder, why string, change func(*Catalog) error) (Catalog, error) {
	mine := nonce()
	for range commitTries {
		last, err := r.Catalog(ctx)
		if err != nil {
			return Catalog{}, err
		}
		if err := r.admit(&last, who); err != nil {
			return Catalog{}, err
		}
		next := r.follow(last, why, mine)
		if err := change(&next); errors.Is(err, errNothing) {
			return last, nil
		} else if err != nil {
			return Catalog{}, err
		}
		next.Token = max(last.Token, who.Token)
		if who.Token != 0 {
			next.Scope = who.Scope
		}
		done, err := r.create(ctx, &next)
		if err != nil || done {
			return next, err
		}
	}
	return Catalog{}, fmt.Errorf("%w: %d others committed first, each time", store.ErrUnreachable, commitTries)
}

// follow is the catalog after last, still without any change and with the token as it was.
func (r *Repository) follow(last Catalog, why, mine string) Catalog {
	next := last
	next.Number, next.Nonce, next.Before = last.Number+1, mine, last.Nonce
	next.Time, next.Why = r.now().UTC(), why
	next.Live, next.Dead = slices.Clone(last.Live), slices.Clone(last.Dead)
	return next
}

// create makes the catalog, and tells whether it was made. Not made and no error: another was first.
func (r *Repository) create(ctx context.Context, c *Catalog) (bool, error) {
	data, err := c.encode()
	if err != nil {
		return false, err
	}
	failed := r.store.Create(ctx, catalogKey(c.Number), data)
	switch {
	case failed == nil:
		return r.confirm(ctx, c)
	case !errors.Is(failed, store.ErrExists) && !errors.Is(failed, store.ErrAmbiguous):
		return false, fmt.Errorf("commit %s: %w", catalogKey(c.Number), failed)
	case !r.on(ruleNonce):
		return false, nil
	}
	there, err := r.readCatalog(ctx, c.Number)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: commit %s: %w, and then: %w", ErrUncertain, catalogKey(c.Number), failed, err)
	}
	if there.Nonce != c.Nonce {
		return false, nil
	}
	return r.confirm(ctx, c)
}

// confirm tells whether a catalog of ours is part of the chain. A writer that slept for long may find its
// number free because old catalogs have been deleted.
func (r *Repository) confirm(ctx context.Context, c *Catalog) (bool, error) {
	if !r.on(ruleChain) {
		return true, nil
	}
	last, err := r.lastAfter(ctx, c.Number)
	if err != nil {
		return false, fmt.Errorf("%w: commit %s: %w", ErrUncertain, catalogKey(c.Number), err)
	}
	if last == 0 {
		r.newest.Store(max(r.newest.Load(), c.Number))
		return true, nil
	}
	next, err := r.readCatalog(ctx, c.Number+1)
	if errors.Is(err, store.ErrNotFound) {
		return false, fmt.Errorf("%w: commit %s: catalogs behind it have been deleted", ErrUncertain, catalogKey(c.Number))
	}
	if err != nil {
		return false, fmt.Errorf("%w: commit %s: %w", ErrUncertain, catalogKey(c.Number), err)
	}
	return next.Before == c.Nonce, nil
}
