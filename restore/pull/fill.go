package pull

import (
	"context"
	"errors"
	"io"
	"iter"
	"runtime"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/internal/crew"
	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/internal/snapshot"
)

// A filler makes all of a tree but hard links and the last state of directories. Three lanes work at once:
// the reader goes through the manifest, makes directories and hands out the rest; makers make what has no
// bytes; what has bytes is fetched and written by the flights of the repository. Over old data comparers
// lie between: they ask only for the chunks that are not there yet.
type filler struct {
	src     *source
	target  *fstree.Target
	old     bool // there is old data
	tally   *snapshot.Progress
	handles *handles
	later   later
}

// A share is one want of a file. A frame may be delivered again after a read that failed half-way.
type share struct {
	file *file
	done bool
}

// fill makes them.
func (l *filler) fill(ctx context.Context) error {
	g := crew.New(ctx)
	made := make(chan fstree.Entry, 256)
	for range makers() {
		g.Run(func() error { return l.makes(g.Context(), made) })
	}
	if l.old {
		l.over(g, made)
	} else {
		g.Run(func() error {
			defer close(made)
			return l.fetch(g.Context(), l.wants(g.Context(), made))
		})
	}
	return errors.Join(g.Join(), l.handles.close())
}

// makers is how many make files without bytes, links and devices: they wait for the filesystem.
func makers() int { return min(max(4, runtime.GOMAXPROCS(0)), 16) }

// fetch has wants read and written.
func (l *filler) fetch(ctx context.Context, wants iter.Seq2[snapshot.Want, error]) error {
	return l.src.repo.Fetch(ctx, wants, l.tally, l.deliver)
}

// deliver writes one run. A second delivery of it must not count, or the file would be closed under the
// hands of those who write the rest.
func (l *filler) deliver(w snapshot.Want, data []byte) error {
	s := w.For.(*share)
	if s.done {
		return nil
	}
	out, err := l.handles.take(s.file)
	if err != nil {
		return err
	}
	if _, err := out.WriteAt(data, w.Run.At); err != nil {
		return err
	}
	s.done = true
	breakpoint.At("pull:run")
	return l.handles.done(s.file, true)
}

// wants reads the manifest for an empty directory: all runs are wanted, in its order.
func (l *filler) wants(ctx context.Context, made chan<- fstree.Entry) iter.Seq2[snapshot.Want, error] {
	return func(yield func(snapshot.Want, error) bool) {
		err := l.read(ctx, made, func(f *file, chunk int64, m *snapshot.Manifest) error {
			for {
				r, err := m.NextRun()
				if err != nil {
					return err
				}
				l.handles.hold(f, 1)
				if !yield(snapshot.Want{Run: *r, Chunk: chunk, For: &share{file: f}}, nil) {
					return errStop
				}
			}
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(snapshot.Want{}, err)
		}
	}
}

// read goes through the manifest. content gets each file that has bytes, and reads its runs until io.EOF.
func (l *filler) read(ctx context.Context, made chan<- fstree.Entry, content func(*file, int64, *snapshot.Manifest) error) error {
	return l.src.each(ctx, func(m *snapshot.Manifest, e *snapshot.Entry) error {
		t, err := e.Tree()
		if err != nil {
			return err
		}
		l.tally.Entries.Add(1)
		switch {
		case e.Kind == snapshot.Dir:
			l.later.dir(t)
			return l.target.Place(t)
		case e.Kind == snapshot.Link:
			l.later.link(t)
			return nil
		case e.Kind != snapshot.File || e.File.Size == 0:
			return crew.Send(ctx, made, t)
		}
		f := &file{entry: t, left: 1}
		if err := content(f, e.File.Chunk, m); !errors.Is(err, io.EOF) {
			return err
		}
		return l.handles.done(f, false)
	})
}

// makes makes what needs no bytes.
func (l *filler) makes(ctx context.Context, made <-chan fstree.Entry) error {
	for {
		e, more, err := crew.Receive(ctx, made)
		if err != nil || !more {
			return err
		}
		if e.Kind != fstree.File {
			err = l.target.Place(e)
		} else {
			err = l.empty(e)
		}
		if err != nil {
			return err
		}
	}
}

func (l *filler) empty(e fstree.Entry) error {
	w, err := l.target.Create(e)
	if err != nil {
		return err
	}
	return w.Finish()
}
