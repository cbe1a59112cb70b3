package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/zeebo/blake3"
)

// Verify reads all of a live snapshot and compares every hash. ErrDamaged, or store.ErrNotFound, names the
// first object that is not what it must be. ErrIdentity: nothing of an encrypted one was read, which
// VerifyStored can do.
func (r *Repository) Verify(ctx context.Context, s Snapshot, p *Progress) error {
	r.keys.forget() // so that headers are read, too
	m, err := r.Manifest(ctx, s)
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", s.ID, err)
	}
	err = r.Fetch(ctx, m.Wants(), p, func(Want, []byte) error { return nil })
	if err == nil && r.seal != nil {
		err = r.sameList(ctx, s, m.owners)
	}
	if err := errors.Join(err, m.Close()); err != nil {
		return fmt.Errorf("snapshot %s: %w", s.ID, err)
	}
	return nil
}

// sameList compares the plain list of packs, which collecting goes by, with the manifest.
func (r *Repository) sameList(ctx context.Context, s Snapshot, named packSet) error {
	listed, err := r.readList(ctx, s, nil)
	if err == nil && !listed.equal(named) {
		err = damaged("%s names other packs than the manifest", s.ID.packsKey())
	}
	return err
}

// VerifyStored compares what an encrypted snapshot's objects are, in the store, with what was written: the
// size and hash of its manifest and of every pack that it names. It needs no identity, and says nothing of
// what is in them: whoever may write to the store can make a list that fits.
func (r *Repository) VerifyStored(ctx context.Context, s Snapshot, p *Progress) error {
	if p == nil {
		p = &Progress{}
	}
	if r.seal == nil {
		return r.Verify(ctx, s, p)
	}
	named, err := r.readList(ctx, s, nil)
	if err == nil {
		err = r.sameObject(ctx, s.ID.manifestKey(), s.Manifest.Size, s.Manifest.Sum, p)
	}
	for _, owner := range named.owners() {
		if err == nil {
			err = r.storedPacks(ctx, s, owner.Owner, named, p)
		}
	}
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", s.ID, err)
	}
	return nil
}

// storedPacks compares the named packs of one owner with the owner's list.
func (r *Repository) storedPacks(ctx context.Context, s Snapshot, owner ID, named packSet, p *Progress) error {
	list := s
	if owner != s.ID {
		list = Snapshot{ID: owner, Packs: Object{Size: maxList, Raw: maxList}} // its sum stood in catalogs of then
	}
	missing := packSet{}
	for at, bits := range named {
		if at.owner == owner {
			missing[at] = bits
		}
	}
	_, err := r.readListOf(ctx, list, owner == s.ID, func(l packLine) error {
		pack := Pack{owner, l.Pack}
		if !missing.has(pack) {
			return nil
		}
		missing.remove(pack)
		return r.sameObject(ctx, pack.key(), l.Size, l.Sum, p)
	})
	if err == nil && len(missing) > 0 {
		err = damaged("%s lacks packs that are named: %+v", owner.packsKey(), missing.owners())
	}
	return err
}

// sameObject reads a stored object and compares size and hash.
func (r *Repository) sameObject(ctx context.Context, key string, size int64, sum Sum, p *Progress) error {
	body, err := r.store.Get(ctx, key, 0, -1)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	hash := blake3.New()
	n, err := io.Copy(hash, io.LimitReader(body, size+1))
	p.Stored.Add(n)
	if err := errors.Join(err, body.Close()); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if got := Sum(hash.Sum(nil)[:len(Sum{})]); n != size || got != sum {
		return fmt.Errorf("%s: %w", key, damaged("%d bytes or more with hash %s, expected %d with %s", n, got, size, sum))
	}
	return nil
}
