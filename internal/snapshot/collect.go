package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/interlock-run/interlock/internal/store"
)

// A Sweep is what a collection found.
type Sweep struct {
	Deleted int   // objects, or those that would be with a dry run
	Bytes   int64 // of them
	Kept    int64 // bytes of dead owners that live snapshots still name
	Current []ID  // uploads under the current token that nobody has published: under way, or left over (Abandon)
}

// Collect deletes what nobody can name any more: packs that no live manifest names and whose owner is dead,
// or has a lower token than the committed one. It decides by one catalog, read at its start: what is
// garbage by that stays garbage, so it may be late or deposed and does no harm. Then it tidies the catalog.
func (r *Repository) Collect(ctx context.Context, who Holder, dry bool) (Sweep, error) {
	c, err := r.Catalog(ctx)
	if err != nil {
		return Sweep{}, err
	}
	named, err := r.named(ctx, &c)
	if err != nil {
		return Sweep{}, fmt.Errorf("nothing collected: %w", err)
	}
	s := sweeper{r: r, c: &c, named: named, owners: named.ownerSet(), dry: dry, left: map[ID]bool{}}
	for o, err := range r.store.List(ctx, snapPrefix, "") {
		if err == nil {
			err = s.judge(ctx, o)
		}
		if err != nil {
			return s.Sweep, fmt.Errorf("collect: %w", err)
		}
	}
	if dry {
		return s.Sweep, nil
	}
	return s.Sweep, errors.Join(r.tidyDead(ctx, who, &c, s.left), r.tidyLog(ctx, &c))
}

// named is all packs that live manifests name.
func (r *Repository) named(ctx context.Context, c *Catalog) (packSet, error) {
	all := packSet{}
	for i := range c.Live {
		set, err := r.packsOf(ctx, c.Live[i])
		if err != nil {
			return nil, err
		}
		all.join(set)
	}
	return all, nil
}

type sweeper struct {
	Sweep
	r     *Repository
	c     *Catalog
	named packSet
	// owners of packs in named
	owners map[ID]bool
	dry    bool
	left   map[ID]bool // owners of which something is left
}

// judge deletes one object, or leaves it alone.
func (s *sweeper) judge(ctx context.Context, o store.Object) error {
	name, ours := snapKey(o.Key)
	if !ours {
		return nil
	}
	if _, live := s.c.Find(name.Owner); live {
		return nil
	}
	if !s.garbage(name.Owner) {
		s.left[name.Owner] = true
		if !slices.Contains(s.Current, name.Owner) {
			s.Current = append(s.Current, name.Owner)
		}
		return nil
	}
	if s.isNamed(name) && s.r.on(ruleNamed) {
		s.left[name.Owner] = true
		s.Kept += o.Size
		return nil
	}
	s.Deleted++
	s.Bytes += o.Size
	if s.dry {
		return nil
	}
	if err := s.r.store.Delete(ctx, o.Key); err != nil {
		return fmt.Errorf("delete %s: %w", o.Key, err)
	}
	return nil
}

// isNamed tells whether a live manifest names a pack. The list of an owner's packs stays while one of them
// does, so that what is stored can be compared with it.
func (s *sweeper) isNamed(name Pack) bool {
	return s.named.has(name) || name.Number == isPackList && s.owners[name.Owner]
}

// garbage tells whether an owner that is not live can never be again.
func (s *sweeper) garbage(owner ID) bool {
	overtaken := owner.Token() < s.c.Token
	if !s.r.on(ruleCurrent) {
		overtaken = owner.Token() <= s.c.Token
	}
	return s.c.dead(owner) || overtaken || !s.r.on(ruleOwner)
}

// tidyDead forgets the dead of which nothing is left, once no writer of theirs can come back.
func (r *Repository) tidyDead(ctx context.Context, who Holder, seen *Catalog, left map[ID]bool) error {
	gone := func(d Dead) bool {
		old := seen.Number > d.At+r.windows.dead || !r.on(ruleKeepDead)
		return old && !left[d.ID] && seen.dead(d.ID)
	}
	if !slices.ContainsFunc(seen.Dead, gone) {
		return nil
	}
	_, err := r.commit(ctx, who, "tidy", func(c *Catalog) error {
		if !slices.ContainsFunc(c.Dead, gone) {
			return errNothing
		}
		c.Dead = slices.DeleteFunc(c.Dead, gone)
		return nil
	})
	return err
}

// tidyLog deletes catalogs that are so old that hardly a writer will ask for them. One that does is told
// ErrUncertain, or by confirm that its number was an old one.
func (r *Repository) tidyLog(ctx context.Context, seen *Catalog) error {
	for o, err := range r.store.List(ctx, catalogPrefix, "") {
		if err != nil {
			return fmt.Errorf("list %s: %w", catalogPrefix, err)
		}
		number, ok := catalogNumber(o.Key)
		if !ok || number+r.windows.dead >= seen.Number {
			break
		}
		if err := r.store.Delete(ctx, o.Key); err != nil {
			return fmt.Errorf("delete %s: %w", o.Key, err)
		}
	}
	return nil
}
