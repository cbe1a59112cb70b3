package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/interlock-run/interlock/internal/crew"
)

// streamFlights is how many frames are read ahead of the one that is being written.
const streamFlights = 8

// A streamed is a run on its way.
type streamed struct {
	want Want
	data chan []byte // receives once
}

// StreamTo writes the runs of one file in their order, with zeros where there is none up to size, while the
// next ones are being read. It is how a dump is piped into the command that loads it.
func (r *Repository) StreamTo(ctx context.Context, out io.Writer, size int64, runs iter.Seq2[Want, error], p *Progress) error {
	return r.StreamAhead(ctx, streamFlights, out, size, runs, p)
}

// StreamAhead is StreamTo for who has several streams at once: so many frames of each are read ahead.
func (r *Repository) StreamAhead(ctx context.Context, flights int, out io.Writer, size int64, runs iter.Seq2[Want, error], p *Progress) error {
	f, err := newFetcher(r, flights, p)
	if err != nil {
		return err
	}
	defer f.dec.Close()
	g := crew.New(ctx)
	work, ordered := make(chan *streamed), make(chan *streamed, flights)
	g.Run(func() error {
		defer close(work)
		defer close(ordered)
		for w, err := range runs {
			if err != nil {
				return err
			}
			s := &streamed{w, make(chan []byte, 1)}
			if err := errors.Join(crew.Send(g.Context(), ordered, s), crew.Send(g.Context(), work, s)); err != nil {
				return err
			}
		}
		return nil
	})
	for range flights {
		g.Run(func() error { return f.ahead(g, work) })
	}
	g.Run(func() error { return writeOrdered(g, ordered, out, size) })
	return g.Join()
}

// ahead reads single runs.
func (f *fetcher) ahead(g *crew.Crew, work <-chan *streamed) error {
	var b frameBuffers
	for {
		s, more, err := crew.Receive(g.Context(), work)
		if err != nil || !more {
			return err
		}
		list, err := plan([]Want{s.want})
		if err != nil {
			return err
		}
		err = f.request(g.Context(), list[0], &b, func(_ Want, data []byte) error {
			s.data <- append(make([]byte, 0, len(data)), data...)
			return nil
		})
		if err != nil {
			return err
		}
	}
}

func writeOrdered(g *crew.Crew, ordered <-chan *streamed, out io.Writer, size int64) error {
	at := int64(0)
	for {
		s, more, err := crew.Receive(g.Context(), ordered)
		if err != nil {
			return err
		}
		if !more {
			return writeZeros(out, size-at)
		}
		data, _, err := crew.Receive(g.Context(), s.data)
		if err != nil {
			return err
		}
		if err := writeZeros(out, s.want.Run.At-at); err != nil {
			return err
		}
		if _, err := out.Write(data); err != nil {
			return fmt.Errorf("write at %d: %w", s.want.Run.At, err)
		}
		at = s.want.Run.At + s.want.Run.Len
	}
}

func writeZeros(out io.Writer, n int64) error {
	var block [64 << 10]byte
	for n > 0 {
		part := min(n, int64(len(block)))
		if _, err := out.Write(block[:part]); err != nil {
			return fmt.Errorf("write zeros: %w", err)
		}
		n -= part
	}
	return nil
}
