package backup

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"

	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/internal/snapshot"
)

// moving gives the items of a tree in which files change, come and go. A file is read as it is, as long as
// it was when its directory was read; what is missing then is zeros.
func (c *copied) moving() iter.Seq2[snapshot.Item, error] {
	return func(yield func(snapshot.Item, error) bool) {
		for e, err := range c.tree.Walk() {
			if fstree.Moving(err) {
				c.missing(e.Path, err)
				continue
			}
			item := snapshot.Item{Entry: snapshot.EntryOf(e)}
			if err == nil && e.Kind == fstree.File && e.Link == "" {
				if !c.there(e) {
					continue
				}
				item.Open = func() (snapshot.Content, error) { return c.open(e) }
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}

// movedTold is how many are named in the log: a busy tree may have millions, and the result counts them.
const movedTold = 5

// missing notes what is left out. A directory that only changed was given all the same.
func (c *copied) missing(path string, err error) {
	level := slog.LevelInfo
	if c.leftOut.Load()+c.torn.Load() >= movedTold {
		level = slog.LevelDebug
	}
	c.taking.o.Log.Log(context.Background(), level, "moved while it was read", "path", path, "cause", err)
	if errors.Is(err, fstree.ErrVanished) {
		c.leftOut.Add(1)
		return
	}
	c.torn.Add(1)
}

// there tells whether a file can still be opened: one that is gone by now is left out.
func (c *copied) there(e fstree.Entry) bool {
	r, err := c.tree.OpenAsIs(e)
	if err == nil {
		err = r.Close()
	}
	if fstree.Moving(err) {
		c.missing(e.Path, err)
		return false
	}
	return true // any other error comes again when it is read
}

func (c *copied) open(e fstree.Entry) (snapshot.Content, error) {
	r, err := c.tree.OpenAsIs(e)
	if fstree.Moving(err) {
		c.missing(e.Path, err)
		return zeros{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &asIs{Reader: r, of: c}, nil
}

// zeros stands for a file that went between its directory's reading and its own.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }
func (zeros) Close() error                          { return nil }
func (zeros) Runs() iter.Seq2[fstree.Run, error]    { return func(func(fstree.Run, error) bool) {} }

// An asIs is a file that may change while it is read.
type asIs struct {
	*fstree.Reader
	of *copied
}

// ReadAt gives zeros for what is no longer there.
func (f *asIs) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.Reader.ReadAt(p, off)
	if fstree.Moving(err) {
		clear(p[n:])
		end := max(0, f.Entry().Size-off)
		if int64(len(p)) > end {
			return int(end), io.EOF
		}
		return len(p), nil
	}
	return n, err
}

// Close counts the file if it was not at rest.
func (f *asIs) Close() error {
	err := f.Check()
	if fstree.Moving(err) {
		f.of.torn.Add(1)
		err = nil
	}
	return errors.Join(err, f.Reader.Close())
}
