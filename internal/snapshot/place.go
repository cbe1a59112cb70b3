package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/interlock-run/interlock/internal/crew"
)

// A fullPack is one to be uploaded.
type fullPack struct {
	name Pack
	buf  *buffer
	used int // of buf
	raw  int // bytes of frames: used, unless they are encrypted
	in   io.WriteCloser
}

// Write puts what is to be stored into the buffer, which has room for it.
func (p *fullPack) Write(data []byte) (int, error) {
	p.used += copy(p.buf.data[p.used:], data)
	return len(data), nil
}

// end fills the last chunk of a pack that is encrypted.
func (p *fullPack) end(s *seal) error {
	_, err := p.in.Write(s.padding(int64(p.raw)))
	return errors.Join(err, p.in.Close())
}

// A placer takes compressed sections in order, gives each frame its place in a pack, and writes the lines.
type placer struct {
	w        *writing
	manifest *manifestWriter
	pack     *fullPack
	packs    int
}

// run places until the joiner is done.
func (p *placer) run() error {
	defer close(p.w.lanes.uploads)
	for {
		s, more, err := crew.Receive(p.w.group.Context(), p.w.lanes.sections)
		if err != nil {
			return err
		}
		if !more {
			return p.ship()
		}
		if _, _, err := crew.Receive(p.w.group.Context(), s.done); err != nil {
			return err
		}
		if err := p.place(s); err != nil {
			return err
		}
	}
}

func (p *placer) place(s *section) error {
	frame, err := p.frame(s)
	if err != nil {
		return err
	}
	for _, l := range s.lines {
		switch {
		case l.entry != nil:
			err = p.manifest.entry(l.entry)
		case l.own:
			l.run.Frame = frame
			err = p.manifest.run(l.run)
		default:
			err = p.manifest.run(l.run)
		}
		if err != nil {
			return fmt.Errorf("write the manifest in the scratch directory: %w", err)
		}
	}
	return nil
}

// frame copies the section's bytes into a pack and says where.
func (p *placer) frame(s *section) (Frame, error) {
	if s.used == 0 {
		return Frame{}, nil
	}
	if p.pack != nil && p.pack.raw+len(s.frame) > packFull {
		if err := p.ship(); err != nil {
			return Frame{}, err
		}
	}
	if err := p.begin(); err != nil {
		return Frame{}, err
	}
	f := Frame{Pack: p.pack.name, Off: int64(p.pack.raw), Stored: int64(len(s.frame)), Raw: int64(s.used)}
	_, err := p.pack.in.Write(s.frame)
	p.pack.raw += len(s.frame)
	p.w.progress.Stored.Add(f.Stored)
	s.out.release()
	return f, err
}

func (p *placer) begin() error {
	if p.pack != nil {
		return nil
	}
	if p.packs >= maxPacks {
		return fmt.Errorf("snapshot of more than %d packs", maxPacks)
	}
	buf, err := p.w.pools.packs.take(p.w.group.Context())
	if err != nil {
		return err
	}
	p.pack = &fullPack{name: Pack{p.w.id, p.packs}, buf: buf}
	p.packs++
	if p.pack.in, err = p.w.seal.sealed(p.pack); err != nil {
		return fmt.Errorf("encrypt %s: %w", p.pack.name.key(), err)
	}
	return nil
}

func (p *placer) ship() error {
	full := p.pack
	if p.pack = nil; full == nil {
		return nil
	}
	if err := full.end(p.w.seal); err != nil {
		return fmt.Errorf("encrypt %s: %w", full.name.key(), err)
	}
	p.w.progress.Stored.Add(int64(full.used - full.raw))
	return crew.Send(p.w.group.Context(), p.w.lanes.uploads, full)
}

// compress turns sections into frames, until the joiner is done.
func (w *writing) compress() error {
	for {
		s, more, err := crew.Receive(w.group.Context(), w.lanes.compress)
		if err != nil || !more {
			return err
		}
		s.frame = encodeFrame(w.enc, s.raw.data[:s.used], s.out.data[:0])
		if len(s.frame) > maxStored {
			return fmt.Errorf("a frame of %d bytes from %d: expected at most %d", len(s.frame), s.used, maxStored)
		}
		s.raw.release()
		close(s.done)
	}
}

// hash reads and hashes batches, until the submitter is done.
func (w *writing) hash() error {
	for {
		b, more, err := crew.Receive(w.group.Context(), w.lanes.hash)
		if err != nil || !more {
			return err
		}
		b.done <- b.work()
	}
}

// upload stores packs, until the placer is done.
func (w *writing) upload() error {
	for {
		p, more, err := crew.Receive(w.group.Context(), w.lanes.uploads)
		if err != nil || !more {
			return err
		}
		stored := p.buf.data[:p.used]
		if err := w.store.Put(w.group.Context(), p.name.key(), bytes.NewReader(stored), int64(p.used)); err != nil {
			return fmt.Errorf("store %s: %w", p.name.key(), err)
		}
		if err := w.list.add(p.name.Number, stored); err != nil {
			return err
		}
		p.buf.release()
	}
}
