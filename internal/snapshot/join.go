package snapshot

import "github.com/interlock-run/interlock/internal/crew"

// A section is what becomes one frame: its bytes, and the lines that were met while it was open. Lines
// whose run lies in it can be written once it has its place.
type section struct {
	lines []sectionLine
	raw   *buffer
	used  int
	out   *buffer // for the compressed bytes
	frame []byte  // in out
	done  chan struct{}
}

// A sectionLine is one line of the manifest to be.
type sectionLine struct {
	entry *Entry
	run   *Run
	own   bool // run lies in this section's frame
}

const linesAtMost = 2 * piecesAtMost

// A joiner takes hashed batches in order and makes sections of what must be stored.
type joiner struct {
	w    *writing
	open *section
	last *Run // of the file that is being joined, to be made longer
	own  bool // last lies in the open section
	// whole: the open section has taken over the buffer of the batch that is being joined.
	whole bool
}

// run joins until the submitter is done.
func (j *joiner) run() error {
	defer close(j.w.lanes.sections)
	defer close(j.w.lanes.compress)
	j.open = &section{}
	for {
		b, more, err := crew.Receive(j.w.group.Context(), j.w.lanes.ordered)
		if err != nil {
			return err
		}
		if !more {
			return j.close()
		}
		hashed, _, err := crew.Receive(j.w.group.Context(), b.done)
		if err == nil {
			err = hashed
		}
		if err == nil {
			err = j.join(b)
		}
		if err != nil {
			return err
		}
	}
}

func (j *joiner) join(b *batch) error {
	j.whole = b.used >= maxFrame/2 && b.allFresh()
	if j.whole && (j.open.used > 0 || len(j.open.lines) >= linesAtMost) {
		if err := j.close(); err != nil {
			return err
		}
	}
	if j.whole {
		j.open.raw, j.open.used = b.buf, b.used
	}
	at := 0
	for i := range b.pieces {
		if err := j.piece(&b.pieces[i], &at); err != nil {
			return err
		}
	}
	if !j.whole {
		b.buf.release()
	}
	return nil
}

// piece adds one; at is where the next bytes lie in a buffer that was taken over whole.
func (j *joiner) piece(p *piece, at *int) error {
	switch {
	case p.entry != nil:
		j.last = nil
		return j.line(sectionLine{entry: p.entry})
	case p.run != nil:
		j.last = nil
		return j.line(sectionLine{run: p.run})
	}
	for i, state := range p.found {
		data := p.chunk(i)
		run := Run{At: p.at + int64(i)*p.file.Chunk, Len: int64(len(data)), Sums: []Sum{state.sum}}
		var err error
		switch {
		case state.kind == zero:
			j.last = nil
		case state.kind == same:
			run.Frame, run.Skip = p.old[i].frame, p.old[i].skip
			err = j.add(run, false)
		default:
			if run.Skip, err = j.place(data, at); err == nil {
				err = j.add(run, true)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// place gives data its place in the open section, or in a new one.
func (j *joiner) place(data []byte, at *int) (int64, error) {
	if j.whole {
		*at += len(data)
		return int64(*at - len(data)), nil
	}
	if j.open.used+len(data) > maxFrame {
		if err := j.close(); err != nil {
			return 0, err
		}
	}
	if j.open.raw == nil {
		buf, err := j.w.pools.frames.take(j.w.group.Context())
		if err != nil {
			return 0, err
		}
		j.open.raw = buf
	}
	copy(j.open.raw.data[j.open.used:], data)
	j.open.used += len(data)
	return int64(j.open.used - len(data)), nil
}

// add writes a run, or makes the last one longer where both are one piece of one frame.
func (j *joiner) add(r Run, own bool) error {
	l := j.last
	if l != nil && j.own == own && l.At+l.Len == r.At && l.Frame == r.Frame && l.Skip+l.Len == r.Skip {
		l.Len += r.Len
		l.Sums = append(l.Sums, r.Sums...)
		return nil
	}
	if err := j.line(sectionLine{run: &r, own: own}); err != nil {
		return err
	}
	j.last, j.own = &r, own
	return nil
}

// line adds a line. A section with very many of them is closed early, but only where that does not part
// a run from the bytes that were just placed for it.
func (j *joiner) line(l sectionLine) error {
	if len(j.open.lines) >= linesAtMost && !l.own && !j.whole {
		if err := j.close(); err != nil {
			return err
		}
	}
	j.open.lines = append(j.open.lines, l)
	return nil
}

// close sends the open section on and opens a new one.
func (j *joiner) close() error {
	s := j.open
	j.open, j.last = &section{}, nil
	s.done = make(chan struct{})
	if s.used == 0 {
		close(s.done)
		return crew.Send(j.w.group.Context(), j.w.lanes.sections, s)
	}
	out, err := j.w.pools.outs.take(j.w.group.Context())
	if err != nil {
		return err
	}
	s.out = out
	if err := crew.Send(j.w.group.Context(), j.w.lanes.sections, s); err != nil {
		return err
	}
	return crew.Send(j.w.group.Context(), j.w.lanes.compress, s)
}
