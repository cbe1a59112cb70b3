package backup

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/internal/snapshot"
)

// A staged is one entry of a tree that was cloned, as the list in the scratch directory has it.
type staged struct {
	Entry snapshot.Entry
	Clone int64 // its number in the staging folder; 0: there is none
}

// A cloning is a tree whose files are clones in a staging folder: the service may write again.
type cloning struct {
	*copied
	stage  *staging
	list   *os.File
	moving bool
}

// openReflink clones all files while the service is at rest, and lets it go before anything is copied.
// Without a freeze command the service is stopped: then no file may move.
func (t *taking) openReflink(ctx context.Context, cancel context.CancelCauseFunc) (*body, error) {
	stage, err := openStaging(t.src.Data, t.src.Staging)
	if err != nil {
		return nil, err
	}
	list, err := os.CreateTemp(t.work.dir, "list-*")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("scratch directory: %w", err), stage.close())
	}
	g := &cloning{stage: stage, list: list}
	extra, err := g.clone(ctx, cancel, t)
	if err != nil {
		return nil, errors.Join(err, list.Close(), stage.close())
	}
	point("cloned")
	return &body{items: g.items(), result: g.result, late: extra.items, close: func() error {
		return errors.Join(extra.close(), list.Close(), stage.close())
	}}, nil
}

// clone fills staging folder and list. The service is let go on every way out.
func (g *cloning) clone(ctx context.Context, cancel context.CancelCauseFunc, t *taking) (*extras, error) {
	extra, may, thaw := &extras{}, tolerance{}, func() error { return nil }
	if len(t.src.Freeze) > 0 {
		s, err := t.freeze(ctx, cancel)
		if err != nil {
			return nil, err
		}
		extra.dir, thaw = s.extra, s.thaw
		may = tolerance{moving: s.moving, exclude: s.exclude}
	}
	c, err := t.copied(may)
	if err == nil {
		g.copied, g.moving = c, may.moving
		err = g.run(ctx)
		if err == nil && !may.moving {
			err = c.still()
		}
	}
	err = errors.Join(err, thaw())
	if c != nil {
		err = errors.Join(err, c.tree.Close())
	}
	return extra, err
}

// run clones file by file.
func (g *cloning) run(ctx context.Context) error {
	out := gob.NewEncoder(g.list)
	look, n := g.looker(), int64(0)
	for e, err := range g.tree.Walk() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if g.moving && fstree.Moving(err) {
			g.missing(e.Path, err)
			continue
		}
		if err != nil {
			return moved(err)
		}
		entry := staged{Entry: snapshot.EntryOf(e)}
		if e.Kind == fstree.File && e.Link == "" && e.Size > 0 {
			n++
			entry.Clone = n
			if err := g.file(e, n); g.moving && fstree.Moving(err) {
				g.missing(e.Path, err)
				continue
			} else if err != nil {
				return moved(err)
			}
		}
		look.add(&entry.Entry)
		if err := out.Encode(entry); err != nil {
			return fmt.Errorf("scratch directory: %w", err)
		}
	}
	g.before = look.sum()
	return nil
}

// file clones one.
func (g *cloning) file(e fstree.Entry, n int64) error {
	open := g.tree.Open
	if g.moving {
		open = g.tree.OpenAsIs
	}
	r, err := open(e)
	if err != nil {
		return err
	}
	err = g.stage.clone(r, n)
	if err == nil {
		if err = r.Check(); g.moving && fstree.Moving(err) {
			g.torn.Add(1)
			err = nil
		}
	}
	return errors.Join(err, r.Close())
}

// items gives the entries of the list, with the bytes of the clones.
func (g *cloning) items() iter.Seq2[snapshot.Item, error] {
	return func(yield func(snapshot.Item, error) bool) {
		if _, err := g.list.Seek(0, io.SeekStart); err != nil {
			yield(snapshot.Item{}, err)
			return
		}
		in := gob.NewDecoder(g.list)
		for {
			var s staged
			err := in.Decode(&s)
			if errors.Is(err, io.EOF) {
				return
			}
			item := snapshot.Item{Entry: s.Entry}
			if s.Entry.Kind == snapshot.File && s.Clone > 0 {
				item.Open = func() (snapshot.Content, error) { return g.stage.open(s.Clone, s.Entry.File.Size) }
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}
