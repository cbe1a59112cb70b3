package pull

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"sync"

	"github.com/interlock-run/interlock/internal/crew"
	"github.com/interlock-run/interlock/internal/fstree"
	"github.com/interlock-run/interlock/internal/snapshot"
)

// A comparison holds a tree against a manifest. It tells its judge of each path once, in no order.
type comparison struct {
	src   *source
	tree  *fstree.Tree
	lost  lost
	judge judge
	next  func() (fstree.Entry, error, bool)
	have  fstree.Entry
	any   bool // have is one
	left  bool // there may be more
}

// A judge is told what there is: extra and missing by one goroutine, both by several.
type judge interface {
	extra(path string)
	missing(e *snapshot.Entry, m *snapshot.Manifest) error // m gives its runs
	both(p *pair)
}

// A pair is a path that is in both. Its fields but the first are under mu until it is judged.
type pair struct {
	path string

	mu     sync.Mutex
	todo   int
	reader *fstree.Reader
	size   int64 // of what is there
	what   string
	wanted []snapshot.Frame // of chunks that differ
}

func (p *pair) differs(what string) {
	p.mu.Lock()
	if p.what == "" {
		p.what = what
	}
	p.mu.Unlock()
}

// A part is some runs of a pair.
type part struct {
	pair     *pair
	chunk    int64
	from, to int64
	runs     []snapshot.Run
}

func (c *comparison) do(ctx context.Context) error {
	next, stop := iter.Pull2(c.tree.Walk())
	defer stop()
	c.next, c.left = next, true
	g := crew.New(ctx)
	parts := make(chan part, comparers())
	g.Run(func() error {
		defer close(parts)
		err := c.src.each(g.Context(), func(m *snapshot.Manifest, e *snapshot.Entry) error { return c.entry(g.Context(), m, e, parts) })
		if err == nil {
			err = c.upTo("", true)
		}
		return err
	})
	for range comparers() {
		g.Run(func() error { return c.work(g.Context(), parts) })
	}
	return g.Join()
}

// upTo tells of what is there and sorts before a path, or of all the rest.
func (c *comparison) upTo(path string, rest bool) error {
	for {
		if !c.any && c.left {
			e, err, more := c.next()
			if err != nil {
				return err
			}
			c.have, c.any, c.left = e, more, more
		}
		if !c.any || !rest && fstree.Compare(c.have.Path, path) >= 0 {
			return nil
		}
		c.judge.extra(c.have.Path)
		c.any = false
	}
}

func (c *comparison) entry(ctx context.Context, m *snapshot.Manifest, e *snapshot.Entry, parts chan<- part) error {
	if err := c.upTo(e.Path, false); err != nil {
		return err
	}
	if !c.any || c.have.Path != e.Path {
		return c.judge.missing(e, m)
	}
	c.any = false
	h := snapshot.EntryOf(c.have)
	p := &pair{path: e.Path, todo: 1, size: c.have.Size, what: c.meta(&h, e)}
	if h.Kind == snapshot.File && e.Kind == snapshot.File {
		var err error
		if p.reader, err = c.tree.Open(c.have); err != nil {
			return err
		}
		if err := c.content(ctx, p, m, e, parts); err != nil {
			return err
		}
	}
	return c.done(p)
}

// meta says in what two entries of one path differ; empty: in nothing but perhaps their bytes.
func (c *comparison) meta(h, e *snapshot.Entry) string {
	sameXattr := func(x, y snapshot.Xattr) bool { return x.Name == y.Name && string(x.Value) == string(y.Value) }
	mode := e.Mode
	if c.lost.setID {
		mode = mode&^0o6000 | h.Mode&0o6000
	}
	switch {
	case h.Kind != e.Kind:
		return "is a " + string(h.Kind) + ", expected a " + string(e.Kind)
	case h.Target != e.Target:
		return "leads elsewhere"
	case e.Kind == snapshot.Link, e.Path == snapshot.Root && c.lost.root:
		return ""
	case e.Kind == snapshot.File && h.File.Size != e.File.Size:
		return "has another size"
	case h.Device != e.Device:
		return "is another device"
	case h.Mode != mode && e.Kind != snapshot.Symlink && !c.lost.xattr:
		return "has another mode"
	case (h.UID != e.UID || h.GID != e.GID) && !c.lost.owner:
		return "has another owner"
	case h.MTime != e.MTime:
		return "has another time"
	case !slices.EqualFunc(h.Xattrs, e.Xattrs, sameXattr) && !c.lost.xattr:
		return "has other extended attributes"
	}
	return ""
}

// content gives the runs of a file to the workers.
func (c *comparison) content(ctx context.Context, p *pair, m *snapshot.Manifest, e *snapshot.Entry, parts chan<- part) error {
	t := part{pair: p, chunk: e.File.Chunk}
	for {
		r, err := m.NextRun()
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return err
		}
		if t.to = e.File.Size; !ended {
			t.runs, t.to = append(t.runs, *r), r.At+r.Len
		}
		if len(t.runs) == pieceRuns || ended && t.to > t.from {
			p.mu.Lock()
			p.todo++
			p.mu.Unlock()
			if err := crew.Send(ctx, parts, t); err != nil {
				return err
			}
			t = part{pair: p, chunk: e.File.Chunk, from: t.to}
		}
		if ended {
			return nil
		}
	}
}

func (c *comparison) work(ctx context.Context, parts <-chan part) error {
	var buf []byte
	for {
		t, more, err := crew.Receive(ctx, parts)
		if err != nil || !more {
			return err
		}
		if int64(len(buf)) < t.chunk {
			buf = make([]byte, t.chunk)
		}
		if err := t.compare(buf); err != nil {
			return err
		}
		if err := c.done(t.pair); err != nil {
			return err
		}
	}
}

// done judges a pair when nothing of it is left to be compared.
func (c *comparison) done(p *pair) error {
	p.mu.Lock()
	p.todo--
	last := p.todo == 0
	p.mu.Unlock()
	if !last {
		return nil
	}
	var err error
	if p.reader != nil {
		err = errors.Join(p.reader.Check(), p.reader.Close())
	}
	c.judge.both(p)
	return err
}

func (t *part) compare(buf []byte) error {
	at := t.from
	for _, r := range t.runs {
		if err := t.zeros(buf, at, r.At); err != nil {
			return err
		}
		at = r.At + r.Len
		for i, sum := range r.Sums {
			off := int64(i) * t.chunk
			data := buf[:min(t.chunk, r.Len-off)]
			if err := t.read(data, r.At+off); err != nil {
				return err
			}
			if snapshot.SumOf(data) != sum {
				t.pair.differs("has other content")
				t.pair.mu.Lock()
				t.pair.wanted = append(t.pair.wanted, r.Frame)
				t.pair.mu.Unlock()
				break
			}
		}
	}
	return t.zeros(buf, at, t.to)
}

// read reads what is there, and zeros beyond its end.
func (t *part) read(data []byte, at int64) error {
	n := int64(0)
	if at < t.pair.size {
		n = min(int64(len(data)), t.pair.size-at)
		if _, err := t.pair.reader.ReadAt(data[:n], at); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	clear(data[n:])
	return nil
}

// zeros looks whether a range is zero.
func (t *part) zeros(buf []byte, from, to int64) error {
	for from < to && from < t.pair.size {
		data := buf[:min(int64(len(buf)), to-from)]
		if err := t.read(data, from); err != nil {
			return err
		}
		if slices.ContainsFunc(data, func(b byte) bool { return b != 0 }) {
			t.pair.differs("holds data where there is none")
			return nil
		}
		from += int64(len(data))
	}
	return nil
}
