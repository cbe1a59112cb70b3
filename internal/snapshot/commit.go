package snapshot

import (
	"cmp"
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

// Catalog reads the newest catalog. A repository in which nothing was ever committed has the zero Catalog.
func (r *Repository) Catalog(ctx context.Context) (Catalog, error) {
	c, err := r.listed(ctx)
	for range commitTries {
		if err != nil {
			return Catalog{}, err
		}
		// Lists of network filesystems may be old: is there a later one?
		var next Catalog
		if next, err = r.readCatalog(ctx, c.Number+1); errors.Is(err, store.ErrNotFound) {
			return c, nil
		}
		r.saw(next.Number)
		c = next
	}
	return c, err
}

// listed reads the newest catalog that the list shows. It is enough to commit on top of: a later one shows
// then.
func (r *Repository) listed(ctx context.Context) (Catalog, error) {
	for range commitTries {
		number, err := r.newestNumber(ctx)
		if err == nil && number == 0 {
			err = r.neverCommitted(ctx)
			number = r.newest.Load() // the first may have been made meanwhile
		}
		if err != nil || number == 0 {
			return Catalog{Format: r.Format, Repository: r.ID}, err
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
	r.saw(number)
	return number, nil
}

// saw notes that a catalog exists, or has existed.
func (r *Repository) saw(number uint64) {
	for known := r.newest.Load(); known < number; known = r.newest.Load() {
		if r.newest.CompareAndSwap(known, number) {
			return
		}
	}
}

// neverCommitted refuses a place in which snapshots lie, but no catalog: a repository of which the catalogs
// were lost would look like an empty one, and the next holder's first collection would delete them all.
// Draft.Write sees to it that there is a catalog before the first manifest.
func (r *Repository) neverCommitted(ctx context.Context) error {
	for o, err := range r.store.List(ctx, snapPrefix, "") {
		if err != nil {
			return fmt.Errorf("list %s: %w", snapPrefix, err)
		}
		if name, ours := snapKey(o.Key); ours && name.Number == isManifest {
			return r.firstCommit(ctx, o.Key)
		}
	}
	return nil
}

// firstCommit looks for the catalog again, now that a manifest was seen: between the two looks another writer
// may have made the first commit and stored its manifest.
func (r *Repository) firstCommit(ctx context.Context, manifest string) error {
	number, err := r.newestNumber(ctx)
	if err == nil && number == 0 {
		err = damaged("there is %s, but no catalog: put %s back", manifest, catalogPrefix)
	}
	return err
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
	return decodeCatalog(data, &r.Config, number)
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
// errNothing of change ends it well. An error other than ErrUncertain says that nothing was committed.
func (r *Repository) commit(ctx context.Context, who Holder, why string, change func(*Catalog) error) (Catalog, error) {
	return r.attempt(who, why).run(ctx, change)
}

// An attempt is one commit with all its tries, also those of later calls.
type attempt struct {
	r     *Repository
	who   Holder
	why   string
	nonce string
	open  uint64 // number of the try of which nobody knows what became; there is never more than one
}

func (r *Repository) attempt(who Holder, why string) *attempt {
	return &attempt{r: r, who: who, why: why, nonce: nonce()}
}

func (a *attempt) run(ctx context.Context, change func(*Catalog) error) (Catalog, error) {
	for range commitTries {
		c, done, err := a.once(ctx, change)
		if err == nil && done {
			return c, nil
		}
		if err != nil && a.open != 0 && !errors.Is(err, ErrUncertain) {
			err = fmt.Errorf("%w: %w", ErrUncertain, err)
		}
		if err != nil {
			return Catalog{}, err
		}
	}
	return Catalog{}, fmt.Errorf("%w: %w: %d others committed first, each time", ErrUncertain, store.ErrUnreachable, commitTries)
}

func (a *attempt) once(ctx context.Context, change func(*Catalog) error) (Catalog, bool, error) {
	last, err := a.r.listed(ctx)
	if err != nil {
		return Catalog{}, false, err
	}
	if a.open != 0 && a.open <= last.Number {
		if mine, err := a.settle(ctx); err != nil || mine != nil {
			return *cmp.Or(mine, &last), err == nil, err
		}
	}
	if err := a.r.admit(&last, a.who); err != nil {
		return Catalog{}, false, err
	}
	next := a.r.follow(last, a.why, a.nonce)
	if err := change(&next); errors.Is(err, errNothing) {
		return last, true, nil
	} else if err != nil {
		return Catalog{}, false, err
	}
	next.Token = max(last.Token, a.who.Token)
	if a.who.Token != 0 {
		next.Scope = a.who.Scope
	}
	done, err := a.create(ctx, &next)
	return next, done, err
}

// settle finds out what became of the open try, whose number is taken by now. It gives the catalog if it
// was ours.
func (a *attempt) settle(ctx context.Context) (*Catalog, error) {
	there, err := a.r.readCatalog(ctx, a.open)
	if err != nil {
		return nil, fmt.Errorf("%w: commit %w", ErrUncertain, err)
	}
	mine := there.Nonce == a.nonce
	if mine {
		if mine, err = a.r.confirm(ctx, &there); err != nil {
			return nil, err
		}
	}
	a.open = 0
	if !mine {
		return nil, nil
	}
	return &there, nil
}

// follow is the catalog after last, still without any change and with the token as it was.
func (r *Repository) follow(last Catalog, why, mine string) Catalog {
	next := last
	next.Number, next.Nonce, next.Before = last.Number+1, mine, last.Nonce
	next.Time, next.Why = r.now().UTC(), why
	next.Live, next.Dead = slices.Clone(last.Live), slices.Clone(last.Dead)
	return next
}

// create makes the catalog, and tells whether it was made. Not made and no error: another was first, or
// nobody knows yet.
func (a *attempt) create(ctx context.Context, c *Catalog) (bool, error) {
	if err := c.check(&a.r.Config, c.Number); err != nil && a.r.on(ruleReadable) {
		return false, fmt.Errorf("commit %s: refused: %w", catalogKey(c.Number), err)
	}
	data, err := c.encode()
	if err != nil {
		return false, err
	}
	failed := a.r.store.Create(ctx, catalogKey(c.Number), data)
	switch {
	case failed == nil:
		a.open = c.Number
		return a.settled(a.r.confirm(ctx, c))
	case !errors.Is(failed, store.ErrExists) && !errors.Is(failed, store.ErrAmbiguous):
		return false, fmt.Errorf("commit %s: %w", catalogKey(c.Number), failed)
	case !a.r.on(ruleNonce):
		return false, nil
	}
	a.open = c.Number
	there, err := a.r.readCatalog(ctx, c.Number)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: commit: %w, and then: %w", ErrUncertain, failed, err)
	}
	a.r.saw(c.Number)
	if there.Nonce != c.Nonce {
		return a.settled(false, nil)
	}
	return a.settled(a.r.confirm(ctx, c))
}

// settled passes on what is known by now.
func (a *attempt) settled(done bool, err error) (bool, error) {
	if err == nil {
		a.open = 0
	}
	return done, err
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
		r.saw(c.Number)
		return r.grounded(ctx, c)
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

// grounded tells whether the catalog that ours was built on is still there, as the list may be old that shows
// none behind ours. Catalogs are deleted in their order: while it is there, no number after it was ever free
// again.
func (r *Repository) grounded(ctx context.Context, c *Catalog) (bool, error) {
	if c.Number == 1 {
		return true, nil
	}
	base, err := r.readCatalog(ctx, c.Number-1)
	if err != nil {
		return false, fmt.Errorf("%w: commit %s: the one before: %w", ErrUncertain, catalogKey(c.Number), err)
	}
	return base.Nonce == c.Before, nil
}
