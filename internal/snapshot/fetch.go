package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"

	"github.com/interlock-run/interlock/internal/crew"
	"github.com/interlock-run/interlock/internal/store"
	"github.com/klauspost/compress/zstd"
)

// fetchTries bounds the reads of one frame. The store bounds its own; these are for bodies that end early.
const fetchTries = 3

// flights is how many requests are under way: enough to hide a store's delay, few enough to hold one frame
// each, as stored and as raw bytes, in 43 MiB.
func flights() int { return min(max(8, 2*runtime.GOMAXPROCS(0)), flightsAtMost) }

const flightsAtMost = 20

// Fetch reads, decompresses and verifies all wants, in the order that suits the store, and hands each to
// deliver: from several goroutines, with bytes that are valid until it returns. The first error of anybody
// ends it. p may be nil.
func (r *Repository) Fetch(ctx context.Context, wants iter.Seq2[Want, error], p *Progress, deliver func(Want, []byte) error) error {
	n := flights()
	f, err := newFetcher(r, n, p)
	if err != nil {
		return err
	}
	defer f.dec.Close()
	g := crew.New(ctx)
	requests := make(chan request)
	g.Run(func() error {
		defer close(requests)
		return feed(g, wants, requests)
	})
	for range n {
		g.Run(func() error {
			var b frameBuffers
			for {
				q, more, err := crew.Receive(g.Context(), requests)
				if err != nil || !more {
					return err
				}
				if err := f.request(g.Context(), q, &b, deliver); err != nil {
					return err
				}
			}
		})
	}
	return g.Join()
}

// feed plans window after window.
func feed(g *crew.Crew, wants iter.Seq2[Want, error], to chan<- request) error {
	window := make([]Want, 0, planWindow)
	flush := func() error {
		list, err := plan(window)
		for i := 0; i < len(list) && err == nil; i++ {
			err = crew.Send(g.Context(), to, list[i])
		}
		window = make([]Want, 0, planWindow) // the old one is part of requests
		return err
	}
	for w, err := range wants {
		if err != nil {
			return err
		}
		if window = append(window, w); len(window) < planWindow {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
	}
	return flush()
}

// A fetcher reads frames.
type fetcher struct {
	repo     *Repository
	dec      *zstd.Decoder
	progress *Progress
}

func newFetcher(r *Repository, workers int, p *Progress) (*fetcher, error) {
	dec, err := newDecoder(workers)
	if p == nil {
		p = &Progress{}
	}
	return &fetcher{r, dec, p}, err
}

// frameBuffers is the memory of one flight.
type frameBuffers struct{ stored, raw []byte }

// request reads one request, frame by frame as they arrive. After an error it goes on at the frame that
// failed, a bounded number of times.
func (f *fetcher) request(ctx context.Context, q request, b *frameBuffers, deliver func(Want, []byte) error) error {
	for tries := 1; ; tries++ {
		left := len(q.frames)
		err := f.read(ctx, &q, b, deliver)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if _, final := errors.AsType[deliverError](err); final || errors.Is(err, store.ErrNotFound) || errors.Is(err, ErrIdentity) {
			return fmt.Errorf("%s: %w", q.pack.key(), err)
		}
		if len(q.frames) < left {
			tries = 1
		}
		if tries >= fetchTries {
			return fmt.Errorf("%s at %d, %d tries: %w", q.pack.key(), q.off, tries, err)
		}
	}
}

// A deliverError is the caller's, about which another try does nothing.
type deliverError struct{ error }

func (e deliverError) Unwrap() error { return e.error }

// read takes the frames it has done off the request.
func (f *fetcher) read(ctx context.Context, q *request, b *frameBuffers, deliver func(Want, []byte) error) (err error) {
	body, err := f.repo.openPack(ctx, q.pack, q.off, q.end)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	for len(q.frames) > 0 {
		want := q.frames[0]
		if _, err := io.CopyN(io.Discard, body, want.frame.Off-q.off); err != nil {
			return err
		}
		q.off = want.frame.Off
		raw, err := f.frame(body, want.frame, b)
		if err != nil {
			return err
		}
		if err := f.deliver(want, raw, deliver); err != nil {
			return err
		}
		q.off, q.frames = want.frame.Off+want.frame.Stored, q.frames[1:]
		clear(want.wants) // the caller's things need not wait for the rest of the window
	}
	return nil
}

// frame reads and decompresses one.
func (f *fetcher) frame(body io.Reader, at Frame, b *frameBuffers) ([]byte, error) {
	if int64(cap(b.stored)) < at.Stored {
		b.stored = make([]byte, at.Stored)
	}
	if int64(cap(b.raw)) < at.Raw {
		b.raw = make([]byte, at.Raw)
	}
	stored := b.stored[:at.Stored]
	if _, err := io.ReadFull(body, stored); err != nil {
		return nil, err
	}
	f.progress.Stored.Add(at.Stored)
	raw, err := decodeFrame(f.dec, stored, at.Raw, b.raw)
	if err != nil {
		return nil, fmt.Errorf("frame at %d: %w", at.Off, err)
	}
	return raw, nil
}

func (f *fetcher) deliver(want frameWant, raw []byte, deliver func(Want, []byte) error) error {
	for i := range want.wants {
		w := &want.wants[i]
		data := raw[w.Run.Skip : w.Run.Skip+w.Run.Len]
		if err := checkRun(data, &w.Run, w.Chunk); err != nil {
			return err
		}
		if err := deliver(*w, data); err != nil {
			return deliverError{err}
		}
		f.progress.Bytes.Add(w.Run.Len)
	}
	return nil
}
