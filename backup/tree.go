package backup

import (
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
	"sync/atomic"

	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/internal/snapshot"
)

// A tolerance is what a copy of a tree may find.
type tolerance struct {
	moving  bool     // files may change while they are read
	exclude []string // beside those of the source
}

// A copied is one pass over a tree.
type copied struct {
	tree    *fstree.Tree
	taking  *taking
	tally   fstree.Tally
	before  uint64 // what the tree looked like when it was read
	seed    maphash.Seed
	torn    atomic.Int64
	leftOut atomic.Int64
}

// openTree opens the data directory.
func (t *taking) openTree(may tolerance) (*body, error) {
	c, err := t.copied(may)
	if err != nil {
		return nil, err
	}
	return c.body(may.moving), nil
}

// body is the tree to be stored. One that may not move is looked at a second time after all was stored:
// so what changed behind the reader's back shows as well.
func (c *copied) body(moving bool) *body {
	b := &body{items: c.strict(), result: c.result, close: c.tree.Close}
	b.late = func() (iter.Seq2[snapshot.Item, error], error) { return nil, c.still() }
	if moving {
		b.items = c.moving()
		b.late = func() (iter.Seq2[snapshot.Item, error], error) { return nil, nil }
	}
	return b
}

func (t *taking) copied(may tolerance) (*copied, error) {
	c := &copied{taking: t, seed: maphash.MakeSeed()}
	exclude := slices.Concat(t.src.Exclude, may.exclude, t.work.below(t.src.Data))
	tree, err := fstree.Open(t.src.Data, fstree.Options{Exclude: exclude, Note: c.tally.Add})
	if err != nil {
		return nil, err
	}
	c.tree = tree
	return c, nil
}

func (c *copied) result() Result {
	return Result{Lacks: c.tally.String(), Torn: c.torn.Load(), LeftOut: c.leftOut.Load()}
}

// strict gives the items of a tree in which nothing may move.
func (c *copied) strict() iter.Seq2[snapshot.Item, error] {
	return func(yield func(snapshot.Item, error) bool) {
		look := c.looker()
		for item, err := range snapshot.TreeItems(c.tree) {
			if err != nil {
				err = moved(err)
			} else {
				look.add(&item.Entry)
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
		c.before = look.sum()
	}
}

// moved adds snapshot.ErrChanged to an error of a tree that is not at rest.
func moved(err error) error {
	if fstree.Moving(err) {
		return fmt.Errorf("%w: %w", snapshot.ErrChanged, err)
	}
	return err
}

// still tells whether the tree is what it was when it was read.
func (c *copied) still() error {
	look := c.looker()
	for found, err := range c.tree.Look() {
		if err != nil {
			return moved(err)
		}
		e := snapshot.EntryOf(found)
		look.add(&e)
	}
	if look.sum() != c.before {
		return fmt.Errorf("directory %q: %w: %q was the last to change",
			c.tree.Path(), snapshot.ErrChanged, look.newest)
	}
	return nil
}

// A looker remembers a walk in a few bytes.
type looker struct {
	hash   maphash.Hash
	newest string
	at     snapshot.Time
}

func (c *copied) looker() *looker {
	l := &looker{}
	l.hash.SetSeed(c.seed)
	return l
}

func (l *looker) add(e *snapshot.Entry) {
	maphash.WriteComparable(&l.hash, struct {
		path, target      string
		kind              snapshot.Kind
		mode, uid, gid    uint32
		mtime, ctime      snapshot.Time
		size              int64
		inode, dev, links uint64
	}{e.Path, e.Target, e.Kind, e.Mode, e.UID, e.GID, e.MTime, e.File.CTime, e.File.Size, e.File.Inode, e.Device, uint64(e.File.Links)})
	if t := e.File.CTime; t[0] > l.at[0] || t[0] == l.at[0] && t[1] > l.at[1] {
		l.newest, l.at = e.Path, t
	}
}

func (l *looker) sum() uint64 { return l.hash.Sum64() }
