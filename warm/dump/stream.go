package dump

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/item"
)

// sampleItems are as many as the bands are cut by. A list by hash gives keys in no order that has to do with
// their use, so its beginning is like all of it.
const sampleItems = 10_000

// enough is how many times longer than its reading takes a dump's time must be for a stream.
const enough = 4

// ample tells whether the limit will most likely not cut the dump, so that it does not matter which items are
// read first.
func (d *dump) ample() bool {
	if d.Limit.Items > 0 || d.Limit.Bytes > 0 {
		return false
	}
	reading := time.Duration(0)
	if d.Rate > 0 {
		reading = time.Duration(float64(d.first.Items) / float64(d.Rate) * float64(time.Second))
	}
	return d.Limit.Time <= 0 || reading < d.Limit.Time/enough
}

// scarce tells whether a dump that seemed to have ample time has not: the server, or the rate, became slow.
func (d *dump) scarce() bool {
	return d.Limit.Time > 0 && time.Since(d.begun) >= d.Limit.Time/enough
}

// streamed reads items while they are listed: each goes into a part of its band. Once time is scarce what is left
// is read hottest first.
func (d *dump) streamed(ctx context.Context) (bands []bandInfo, err error) {
	err = d.tries(ctx, func() error {
		bands, err = d.stream(ctx)
		if err != nil && d.writer != nil {
			err = errors.Join(err, d.writer.Discard())
			d.writer = nil
		}
		return err
	})
	return bands, err
}

// stream is one try.
func (d *dump) stream(ctx context.Context) (bands []bandInfo, err error) {
	s := &sorter{d: d, survey: survey{now: d.now()}}
	d.counts, d.cut = item.Counts{}, ""
	err = d.fetch(ctx, func(ctx context.Context, to chan<- batch) error {
		s.ctx, s.to = ctx, to
		err := d.single(ctx, s.take)
		if err == nil {
			err = rewind(s.later)
		}
		if err == nil {
			err = d.feed(ctx, s.later, to)
		}
		return err
	})
	if err = errors.Join(err, closeDecks(s.later)); err != nil {
		return nil, err
	}
	listed := s.survey.counts()
	d.add(&listed)
	return s.survey.describe(&s.bandOf, s.count), nil
}

// A sorter deals a list out to the fetchers while it grows.
type sorter struct {
	d      *dump
	ctx    context.Context
	to     chan<- batch
	survey survey
	bandOf [2 * ageCount]uint8
	count  int     // of bands; 0: not yet cut
	piles  []pile  // by band
	later  []*deck // by band, of what is left for when all is listed; nil: time is ample
}

// A pile is what will be one batch.
type pile struct {
	entries []drain.Entry
	keys    []byte
}

func (h *pile) add(e *drain.Entry) {
	start := len(h.keys)
	h.keys = append(h.keys, e.Key...)
	own := *e
	own.Key = h.keys[start:len(h.keys):len(h.keys)]
	h.entries = append(h.entries, own)
}

// take goes through a list to its end.
func (s *sorter) take(entries iter.Seq2[drain.Entry, error]) error {
	first := pile{}
	err := s.survey.take(entries, func(e *drain.Entry) error {
		if s.count > 0 {
			return s.deal(e)
		}
		if first.add(e); len(first.entries) < sampleItems {
			return nil
		}
		err := s.begin(first.entries)
		first = pile{}
		return err
	})
	if err == nil && s.count == 0 {
		err = s.begin(first.entries)
	}
	breakpoint.At("warm:listed")
	for band := 0; band < len(s.piles) && err == nil; band++ {
		err = s.play(band)
	}
	return err
}

// begin cuts the bands by what is listed so far, and deals it.
func (s *sorter) begin(first []drain.Entry) (err error) {
	s.bandOf, s.count = s.survey.cut(bandCount)
	s.piles = make([]pile, s.count)
	if s.d.writer, err = item.Create(s.d.Dir, s.count); err != nil {
		return err
	}
	for n := range first {
		if err := s.deal(&first[n]); err != nil {
			return err
		}
	}
	return nil
}

func (s *sorter) deal(e *drain.Entry) (err error) {
	band := int(s.bandOf[bucketOf(e, s.survey.now)])
	if s.later == nil && s.d.scarce() {
		if s.later, err = newDecks(s.d.Scratch, s.count); err != nil {
			return err
		}
	}
	if s.later != nil {
		return s.later[band].add(e)
	}
	h := &s.piles[band]
	if h.entries == nil {
		size := s.d.rate.batch()
		*h = pile{make([]drain.Entry, 0, size), make([]byte, 0, size*32)}
	}
	if h.add(e); len(h.entries) < cap(h.entries) {
		return nil
	}
	return s.play(band)
}

// play gives a pile to a fetcher.
func (s *sorter) play(band int) error {
	b := batch{band, s.piles[band].entries}
	s.piles[band] = pile{}
	if len(b.entries) == 0 {
		return nil
	}
	return s.d.hand(s.ctx, b, s.to)
}
