package pull

import (
	"context"
	"iter"

	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/internal/snapshot"
)

// A later is what can only be done once all files are there: hard links, and the owner, mode and times of
// directories. As long as it is little it is remembered, else the manifest is read again.
type later struct {
	links, dirs []fstree.Entry
	bytes       int
	many        bool
}

// laterMost bounds what is remembered.
const laterMost = 8 << 20

func (r *later) dir(e fstree.Entry)  { r.dirs = r.add(r.dirs, e) }
func (r *later) link(e fstree.Entry) { r.links = r.add(r.links, e) }

func (r *later) add(list []fstree.Entry, e fstree.Entry) []fstree.Entry {
	r.bytes += 300 + len(e.Path) + len(e.Link)
	for _, x := range e.Xattrs {
		r.bytes += 50 + len(x.Name) + len(x.Value)
	}
	if r.bytes > laterMost {
		*r = later{bytes: r.bytes, many: true}
		return nil
	}
	return append(list, e)
}

// finish makes links and finishes directories, each after all that is below it.
func (l *filler) finish(ctx context.Context) error {
	if l.later.many {
		return l.target.Seal(l.again(ctx))
	}
	for _, e := range l.later.links {
		if err := l.target.Place(e); err != nil {
			return err
		}
	}
	return l.target.Seal(func(yield func(fstree.Entry, error) bool) {
		for _, e := range l.later.dirs {
			if !yield(e, context.Cause(ctx)) {
				return
			}
		}
	})
}

// again gives the directories of the manifest, and makes links on the way: in the order of paths they come
// before their directory is finished.
func (l *filler) again(ctx context.Context) iter.Seq2[fstree.Entry, error] {
	return func(yield func(fstree.Entry, error) bool) {
		err := l.src.each(ctx, func(_ *snapshot.Manifest, e *snapshot.Entry) error {
			if e.Kind != snapshot.Dir && e.Kind != snapshot.Link {
				return nil
			}
			t, err := e.Tree()
			if err == nil && e.Kind == snapshot.Link {
				return l.target.Place(t)
			}
			if err == nil && !yield(t, nil) {
				err = errStop
			}
			return err
		})
		if err != nil && err != errStop {
			yield(fstree.Entry{}, err)
		}
	}
}
