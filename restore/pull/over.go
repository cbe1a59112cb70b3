package pull

import (
	"context"
	"errors"
	"io"
	"iter"
	"runtime"

	"github.com/interlock-run/interlock/internal/crew"
	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/internal/snapshot"
	"golang.org/x/sys/unix"
)

// A piece is a range of a file over old data: its runs, and the gaps between them.
type piece struct {
	file     *file
	chunk    int64
	from, to int64
	runs     []snapshot.Run
}

const (
	pieceRuns  = 16   // that one comparer takes at once: files are compared in parallel inside
	batchMost  = 4096 // wants that wait for the fetch before
	batchLeast = 64
)

// comparers read and hash: more than there are cores, since they also wait for the disk; each has a buffer
// of a chunk.
func comparers() int { return min(max(8, 2*runtime.GOMAXPROCS(0)), 16) }

// over fills where old data lies: reader, comparers, and fetches in batches.
func (l *filler) over(g *crew.Crew, made chan fstree.Entry) {
	pieces, wants := make(chan piece, comparers()), make(chan snapshot.Want, batchLeast)
	g.Run(func() error {
		defer close(pieces)
		defer close(made)
		return l.read(g.Context(), made, func(f *file, chunk int64, m *snapshot.Manifest) error {
			return l.cut(g.Context(), f, chunk, m, pieces)
		})
	})
	g.Run(func() error {
		defer close(wants)
		sub := crew.New(g.Context())
		for range comparers() {
			sub.Run(func() error { return l.compare(sub.Context(), pieces, wants) })
		}
		return sub.Join()
	})
	g.Run(func() error { return l.batches(g.Context(), wants) })
}

// cut makes pieces of a file. The last one goes to its end.
func (l *filler) cut(ctx context.Context, f *file, chunk int64, m *snapshot.Manifest, to chan<- piece) error {
	p := piece{file: f, chunk: chunk}
	for {
		r, err := m.NextRun()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err == nil {
			p.runs = append(p.runs, *r)
			p.to = r.At + r.Len
		} else {
			p.to = f.entry.Size
		}
		if len(p.runs) == pieceRuns || err != nil {
			l.handles.hold(f, 1)
			if e := crew.Send(ctx, to, p); e != nil {
				return e
			}
			p = piece{file: f, chunk: chunk, from: p.to}
		}
		if err != nil {
			return err
		}
	}
}

// compare takes pieces and asks for what of them is not there.
func (l *filler) compare(ctx context.Context, pieces <-chan piece, wants chan<- snapshot.Want) error {
	buf := []byte(nil)
	for {
		p, more, err := crew.Receive(ctx, pieces)
		if err != nil || !more {
			return err
		}
		if int64(len(buf)) < p.chunk {
			buf = make([]byte, p.chunk)
		}
		w, err := l.handles.take(p.file)
		if err == nil {
			err = l.piece(ctx, w, &p, buf, wants)
		}
		if err == nil {
			err = l.handles.done(p.file, true)
		}
		if err != nil {
			return err
		}
	}
}

func (l *filler) piece(ctx context.Context, w *fstree.Writer, p *piece, buf []byte, wants chan<- snapshot.Want) error {
	at := p.from
	w.Ahead(p.from, p.to-p.from)
	for i := range p.runs {
		r := &p.runs[i]
		if err := w.Hole(at, r.At-at); err != nil {
			return err
		}
		at = r.At + r.Len
		if err := l.run(ctx, w, p, r, buf, wants); err != nil {
			return err
		}
	}
	return w.Hole(at, p.to-at)
}

// run asks for the chunks of a run that differ, neighbours together.
func (l *filler) run(ctx context.Context, w *fstree.Writer, p *piece, r *snapshot.Run, buf []byte, wants chan<- snapshot.Want) error {
	first := 0
	flush := func(end int) error {
		if first == end {
			return nil
		}
		l.handles.hold(p.file, 1)
		return crew.Send(ctx, wants, snapshot.Want{Run: r.Part(first, end, p.chunk), Chunk: p.chunk, For: &share{file: p.file}})
	}
	for i, sum := range r.Sums {
		off := int64(i) * p.chunk
		n := min(p.chunk, r.Len-off)
		same, err := has(w, buf[:n], r.At+off, sum)
		if err != nil {
			return err
		}
		if !same {
			continue
		}
		l.tally.Reused.Add(n)
		if err := flush(i); err != nil {
			return err
		}
		first = i + 1
	}
	return flush(len(r.Sums))
}

// has tells whether a chunk is there already.
func has(w *fstree.Writer, buf []byte, at int64, sum snapshot.Sum) (bool, error) {
	if at >= w.Old() {
		return false, nil
	}
	_, err := w.ReadAt(buf, at)
	if errors.Is(err, unix.EIO) {
		return false, nil // what cannot be read is written anew
	}
	if err != nil {
		return false, err
	}
	return snapshot.SumOf(buf) == sum, nil
}

// batches has wants fetched while more of them are being found: a few as soon as nothing is under way.
func (l *filler) batches(ctx context.Context, wants <-chan snapshot.Want) error {
	g := crew.New(ctx)
	batch := make(chan []snapshot.Want)
	g.Run(func() error {
		for {
			list, more, err := crew.Receive(g.Context(), batch)
			if err != nil || !more {
				return err
			}
			if err := l.fetch(g.Context(), all(list)); err != nil {
				return err
			}
		}
	})
	g.Run(func() error {
		defer close(batch)
		return gather(g.Context(), wants, batch)
	})
	return g.Join()
}

// gather makes batches: of any size above the least that the fetch is ready for, or the last.
func gather(ctx context.Context, wants <-chan snapshot.Want, batch chan<- []snapshot.Want) error {
	var list []snapshot.Want
	for {
		ready := batch
		if len(list) < batchLeast {
			ready = nil
		}
		in := wants
		if len(list) >= batchMost {
			in = nil
		}
		select {
		case w, more := <-in:
			if !more {
				return last(ctx, batch, list)
			}
			list = append(list, w)
		case ready <- list:
			list = nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func last(ctx context.Context, batch chan<- []snapshot.Want, list []snapshot.Want) error {
	if len(list) == 0 {
		return nil
	}
	return crew.Send(ctx, batch, list)
}

func all(list []snapshot.Want) iter.Seq2[snapshot.Want, error] {
	return func(yield func(snapshot.Want, error) bool) {
		for _, w := range list {
			if !yield(w, nil) {
				return
			}
		}
	}
}
