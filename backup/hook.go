package backup

import (
	"context"
	"errors"
	"iter"
	"os"

	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/internal/snapshot"
)

// openHook freezes the service. It stays so until all of the tree is stored; then the freeze command may
// leave more files (PostgreSQL's backup_label is known no sooner).
func (t *taking) openHook(ctx context.Context, cancel context.CancelCauseFunc) (*body, error) {
	s, err := t.freeze(ctx, cancel)
	if err != nil {
		return nil, err
	}
	c, err := t.copied(tolerance{moving: s.moving, exclude: s.exclude})
	if err != nil {
		return nil, errors.Join(err, s.end())
	}
	b := c.body(s.moving)
	extra := &extras{dir: s.extra}
	still := b.late
	b.late = func() (iter.Seq2[snapshot.Item, error], error) {
		if _, err := still(); err != nil {
			return nil, err
		}
		if err := s.thaw(); err != nil {
			return nil, err
		}
		return extra.items()
	}
	b.close = func() error { return errors.Join(s.end(), extra.close(), c.tree.Close()) }
	return b, nil
}

// extras are the files that a freeze command leaves.
type extras struct {
	dir  string
	tree *fstree.Tree
}

// items opens the folder; nil where nothing is in it.
func (x *extras) items() (iter.Seq2[snapshot.Item, error], error) {
	if x.dir == "" {
		return nil, nil // nobody was frozen
	}
	found, err := os.ReadDir(x.dir)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if x.tree, err = fstree.Open(x.dir, fstree.Options{}); err != nil {
		return nil, err
	}
	return snapshot.TreeItems(x.tree), nil
}

func (x *extras) close() error {
	if x.tree == nil {
		return nil
	}
	return x.tree.Close()
}
