package snapshot

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/interlock-run/interlock/internal/crew"
)

// racyFor is how long a file must have been at rest for its times to prove that it is still the same: the
// steps of coarse filesystems' clocks.
const racyFor = 2 * time.Second

// A submitter turns items into batches, in order. One goroutine uses it.
type submitter struct {
	w     *writing
	old   *parent
	chunk int64
	open  *batch
	last  string
	begun bool
}

// add takes one item.
func (s *submitter) add(item *Item) error {
	e := item.Entry
	if e.hasData() {
		e.File.Chunk = s.chunk
	}
	if err := s.checked(&e); err != nil {
		return err
	}
	s.w.progress.Entries.Add(1)
	old, err := s.old.find(e.Path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrParentGone, err)
	}
	if old != nil && old.hasData() && e.hasData() {
		e.File.Chunk = old.File.Chunk // so that its chunks can be compared
	}
	if unchanged(old, &e) {
		return s.reuse(&e)
	}
	e.File.Racy = e.Kind == File && (e.File.Racy || s.racy(&e))
	if err := s.line(piece{entry: &e}); err != nil {
		return err
	}
	switch {
	case e.Kind == Stream:
		return s.stream(&e, item.Stream)
	case e.Kind == File && e.File.Size > 0:
		return s.file(&e, item)
	}
	return nil
}

func (s *submitter) checked(e *Entry) error {
	if err := e.check(); err != nil {
		// Nothing is damaged: what lies there is more than the format takes.
		return fmt.Errorf("cannot be stored: %s: %w", strings.TrimPrefix(err.Error(), ErrDamaged.Error()+": "), ErrEntry)
	}
	if s.begun && ComparePaths(s.last, e.Path) >= 0 {
		return fmt.Errorf("%.200q after %.200q: %w", e.Path, s.last, ErrOrder)
	}
	s.last, s.begun = e.Path, true
	return nil
}

func (s *submitter) racy(e *Entry) bool {
	now := s.w.now()
	return now.Sub(e.MTime.Time()) < racyFor || now.Sub(e.File.CTime.Time()) < racyFor
}

// reuse takes over an entry with all its runs, without reading the file.
func (s *submitter) reuse(e *Entry) error {
	if err := s.line(piece{entry: e}); err != nil {
		return err
	}
	for s.old.run != nil {
		if err := s.line(piece{run: s.old.run}); err != nil {
			return err
		}
		if err := s.old.advance(); err != nil {
			return fmt.Errorf("%w: %w", ErrParentGone, err)
		}
	}
	s.w.progress.Reused.Add(e.File.Size)
	return nil
}

// line adds a piece without data.
func (s *submitter) line(p piece) error {
	if s.open != nil && len(s.open.pieces) >= piecesAtMost {
		if err := s.flush(); err != nil {
			return err
		}
	}
	s.begin().pieces = append(s.begin().pieces, p)
	return nil
}

func (s *submitter) begin() *batch {
	if s.open == nil {
		s.open = &batch{done: make(chan error, 1)}
	}
	return s.open
}

// room gives n bytes of a batch, a new one where the open one is too full.
func (s *submitter) room(n int) ([]byte, error) {
	if b := s.open; b != nil && (b.used+n > maxFrame || len(b.pieces) >= piecesAtMost) {
		if err := s.flush(); err != nil {
			return nil, err
		}
	}
	b := s.begin()
	if b.buf == nil {
		buf, err := s.w.pools.batches.take(s.w.group.Context())
		if err != nil {
			return nil, err
		}
		b.buf = buf
	}
	b.used += n
	return b.buf.data[b.used-n : b.used : b.used], nil
}

// flush sends the open batch to be hashed and joined.
func (s *submitter) flush() error {
	b := s.open
	if s.open = nil; b == nil {
		return nil
	}
	if err := crew.Send(s.w.group.Context(), s.w.lanes.ordered, b); err != nil {
		return err
	}
	if b.buf == nil {
		b.done <- nil
		return nil
	}
	return crew.Send(s.w.group.Context(), s.w.lanes.hash, b)
}

// file adds the data of one file.
func (s *submitter) file(e *Entry, item *Item) error {
	src := s.w.sources.add(item)
	if err := s.ranges(src, e); err != nil {
		return err
	}
	if err := src.release(); err != nil {
		return fmt.Errorf("%.200q: %w", e.Path, err)
	}
	return nil
}

// ranges adds what of the file is data.
func (s *submitter) ranges(src *source, e *Entry) error {
	if !e.File.Sparse {
		return s.span(src, e, 0, e.File.Size)
	}
	content, err := src.content()
	if err != nil {
		return err
	}
	extents, known := content.(Extents)
	if !known {
		return s.span(src, e, 0, e.File.Size)
	}
	done, chunk := int64(0), e.File.Chunk
	for run, err := range extents.Runs() {
		if err == nil && (run.Off < 0 || run.Len <= 0) {
			err = fmt.Errorf("data of %d bytes at %d", run.Len, run.Off)
		}
		if err != nil {
			return fmt.Errorf("holes of %.200q: %w", e.Path, err)
		}
		from := max(done, run.Off/chunk*chunk)
		to := min(e.File.Size, (run.Off+run.Len+chunk-1)/chunk*chunk)
		if err := s.span(src, e, from, to); err != nil {
			return err
		}
		done = max(done, to)
	}
	return nil
}

// span adds the bytes of a file from one chunk's boundary to another, or to its end.
func (s *submitter) span(src *source, e *Entry, from, to int64) error {
	for from < to {
		n := int(min(to-from, maxFrame))
		data, err := s.room(n)
		if err != nil {
			return err
		}
		if err := s.data(piece{src: src, data: data, at: from}, e); err != nil {
			return err
		}
		s.w.progress.Bytes.Add(int64(n))
		from += int64(n)
	}
	return nil
}

// data adds a piece for which there is room.
func (s *submitter) data(p piece, e *Entry) (err error) {
	p.kind, p.file = e.Kind, e.File
	if p.old, err = s.old.chunks(p.at, len(p.data), e.File.Chunk); err != nil {
		return fmt.Errorf("%w: %w", ErrParentGone, err)
	}
	if p.src != nil {
		p.src.users.Add(1)
	}
	s.open.pieces = append(s.open.pieces, p)
	return nil
}

// stream adds what a command writes, until it ends.
func (s *submitter) stream(e *Entry, from io.Reader) error {
	if from == nil {
		return fmt.Errorf("%w: stream %.200q without a reader", ErrOrder, e.Path)
	}
	for at := int64(0); ; {
		buf, err := s.room(maxFrame)
		if err != nil {
			return err
		}
		n, err := io.ReadFull(from, buf)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("read the stream %.200q at byte %d: %w", e.Path, at+int64(n), err)
		}
		ended := err != nil
		s.open.used -= len(buf) - n
		if n > 0 {
			if err := s.data(piece{data: buf[:n], at: at}, e); err != nil {
				return err
			}
		}
		s.w.progress.Bytes.Add(int64(n))
		if at += int64(n); ended {
			return nil
		}
	}
}
