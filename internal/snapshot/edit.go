package snapshot

import (
	"context"
	"fmt"
	"slices"
)

// Forget moves snapshots from live to dead, in one commit. Their objects go when they are collected. Pinned
// ones and the last one that is not damaged are refused, unless force says otherwise.
func (r *Repository) Forget(ctx context.Context, who Holder, ids []ID, force bool) (Catalog, error) {
	return r.commit(ctx, who, "forget", func(c *Catalog) error {
		doomed := func(s Snapshot) bool { return slices.Contains(ids, s.ID) }
		if !slices.ContainsFunc(c.Live, doomed) {
			return errNothing
		}
		if err := mayForget(c, doomed, force); err != nil {
			return err
		}
		for _, s := range c.Live {
			if doomed(s) {
				c.Dead = append(c.Dead, Dead{s.ID, c.Number})
			}
		}
		c.Live = slices.DeleteFunc(c.Live, doomed)
		return nil
	})
}

func mayForget(c *Catalog, doomed func(Snapshot) bool, force bool) error {
	if force {
		return nil
	}
	had, has := false, false
	for _, s := range c.Live {
		if doomed(s) && s.Pin != "" {
			return fmt.Errorf("snapshot %s is pinned (%s): unpin it first", s.ID, s.Pin)
		}
		had = had || s.Damaged == ""
		has = has || s.Damaged == "" && !doomed(s)
	}
	if had && !has {
		return fmt.Errorf("no snapshot that can be restored would be left: refused without force")
	}
	return nil
}

// Abandon declares uploads dead that were never published and whose token is still the current one, so
// that they can be collected. Their writers publish nothing any more.
func (r *Repository) Abandon(ctx context.Context, who Holder, ids []ID) (Catalog, error) {
	return r.commit(ctx, who, "abandon", func(c *Catalog) error {
		before, known := len(c.Dead), map[ID]bool{}
		for _, d := range c.Dead {
			known[d.ID] = true
		}
		for _, id := range ids {
			if _, live := c.Find(id); live {
				return fmt.Errorf("snapshot %s is live: forget it instead", id)
			}
			if id.Token() > who.Token {
				return fmt.Errorf("%w: snapshot %s is a later holder's, this has token %s", ErrFencedOff, id, who.Token)
			}
			if !known[id] {
				known[id] = true
				c.Dead = append(c.Dead, Dead{id, c.Number})
			}
		}
		if len(c.Dead) == before {
			return errNothing
		}
		return nil
	})
}

// Pin keeps a snapshot from retention and Forget; an empty reason unpins it.
func (r *Repository) Pin(ctx context.Context, who Holder, id ID, reason string) (Catalog, error) {
	return r.mark(ctx, who, id, "pin", func(s *Snapshot) *string { return &s.Pin }, reason)
}

// MarkDamaged notes what a verification found: such a snapshot is no parent, and retention does not count
// it. An empty text takes it back.
func (r *Repository) MarkDamaged(ctx context.Context, who Holder, id ID, what string) (Catalog, error) {
	return r.mark(ctx, who, id, "damaged", func(s *Snapshot) *string { return &s.Damaged }, what)
}

func (r *Repository) mark(ctx context.Context, who Holder, id ID, why string, field func(*Snapshot) *string, value string) (Catalog, error) {
	return r.commit(ctx, who, why, func(c *Catalog) error {
		s, live := c.Find(id)
		if !live {
			return fmt.Errorf("%w: %s", ErrNoSnapshot, id)
		}
		if *field(s) == value {
			return errNothing
		}
		*field(s) = value
		return nil
	})
}
