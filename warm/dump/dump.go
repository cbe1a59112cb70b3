package dump

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/memcached"
)

// dump is one dump under way.
type dump struct {
	Options
	listing Listing
	clock   memcached.Clock
	first   memcached.State
	writer  *item.Writer
	rate    *governor
	begun   time.Time
	listed  time.Duration // that the server took to say its list

	mu     sync.Mutex // of what follows
	counts item.Counts
	read   int64  // items asked for
	size   int64  // that they take in the server
	cut    string // why not all are read
}

// Dump makes the files. On an error Dir is no cache's content.
func Dump(ctx context.Context, o Options) (*Report, error) {
	d := &dump{Options: o.filled(), begun: time.Now()}
	var r *Report
	err := d.locked(func(held *Lock) (err error) {
		r, err = d.run(ctx, held)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// locked does work while nobody else dumps or loads the server. With drain.ErrStuck the lock, whose folder may hang,
// too, stays until this process ends.
func (d *dump) locked(work func(held *Lock) error) error {
	held, err := Acquire(d.Locks, d.Server)
	if err != nil {
		return err
	}
	err = d.apart(func() error { return work(held) })
	if errors.Is(err, drain.ErrStuck) {
		return err
	}
	return errors.Join(err, held.Release())
}

func (d *dump) run(ctx context.Context, held *Lock) (*Report, error) {
	probe, err := memcached.Dial(ctx, d.Server, memcached.Options{})
	if err != nil {
		return nil, err
	}
	defer probe.Close()
	if err := d.prepare(ctx, probe, held); err != nil {
		return nil, err
	}
	r := &Report{Uptime: time.Duration(d.first.Uptime) * time.Second}
	begun := time.Now()
	bands, err := d.watched(ctx, probe)
	if err == nil {
		r.Listing, r.Latency, r.Slowest = d.listed, d.rate.latency(), d.rate.low()
		r.Reading = time.Since(begun) - r.Listing
		r.Cache, err = d.finish(bands, probe.Version())
	}
	if d.writer != nil {
		err = errors.Join(err, d.writer.Close())
	}
	return r, err
}

// now is the server's clock.
func (d *dump) now() int64 { return d.clock.Now(time.Now()) }

// watched reads while the probe watches the latency.
func (d *dump) watched(ctx context.Context, probe *memcached.Conn) (bands []bandInfo, err error) {
	watching, stop := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() { watched <- d.rate.watch(watching, probe, d.dial) }()
	if d.listing == Hash && d.ample() {
		bands, err = d.streamed(ctx)
	} else {
		bands, err = d.ordered(ctx)
	}
	stop()
	if probeErr := <-watched; probeErr != nil {
		d.Note(probeErr.Error() + ": the rate did not follow the latency to the end")
	}
	return bands, err
}

// ordered lists, and then reads one band after the other, the hottest first.
func (d *dump) ordered(ctx context.Context) (bands []bandInfo, err error) {
	begun := time.Now()
	list, sv, err := d.list(ctx)
	if err != nil {
		return nil, err
	}
	breakpoint.At("warm:listed")
	decks, bands, err := deal(list, sv, d.Scratch)
	if err = errors.Join(err, list.Close()); err != nil {
		return nil, err
	}
	d.listed = time.Since(begun)
	if d.writer, err = item.Create(d.Dir, len(bands)); err == nil {
		d.counts = sv.counts()
		err = d.fetch(ctx, func(ctx context.Context, to chan<- batch) error { return d.feed(ctx, decks, to) })
	}
	return bands, errors.Join(err, closeDecks(decks))
}

// batch is what is asked for at once.
type batch struct {
	band    int
	entries []drain.Entry
}

// fetch has what is fed read by several fetchers.
func (d *dump) fetch(ctx context.Context, feed func(context.Context, chan<- batch) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	batches := make(chan batch)
	results := make(chan error, d.Conns)
	for range d.Conns {
		f := &fetcher{d: d}
		go func() {
			err := f.run(ctx, batches)
			if err != nil {
				stop(err) // the others and the feeder too
			}
			d.add(&f.counts)
			results <- err
		}()
	}
	err := feed(ctx, batches)
	close(batches)
	for range d.Conns {
		if got := <-results; err == nil {
			err = got
		}
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // the first one, of which the others are consequences
	}
	return err
}

// feed gives one band after the other to the fetchers.
func (d *dump) feed(ctx context.Context, decks []*deck, to chan<- batch) error {
	for band, deck := range decks {
		if err := d.feedBand(ctx, band, deck, to); err != nil {
			return err
		}
	}
	return nil
}

// feedBand deals a band out, at the rate and up to the limit.
func (d *dump) feedBand(ctx context.Context, band int, deck *deck, to chan<- batch) error {
	r := bufio.NewReaderSize(deck.file, 64<<10)
	for left := deck.count; left > 0; {
		size := int(min(int64(d.rate.batch()), left))
		entries := make([]drain.Entry, size)
		keys := make([]byte, 0, size*32)
		for n := range entries {
			var err error
			if keys, err = next(r, &entries[n], keys); err == io.EOF {
				return errors.New("cannot read a list of items again: it is shorter than written")
			} else if err != nil {
				return err
			}
		}
		left -= int64(size)
		if !d.within(entries) {
			continue
		}
		if err := d.hand(ctx, batch{band, entries}, to); err != nil {
			return err
		}
	}
	return nil
}

// hand gives a batch to a fetcher, at the rate.
func (d *dump) hand(ctx context.Context, b batch, to chan<- batch) error {
	if err := d.rate.pace.Take(ctx, len(b.entries)); err != nil {
		return err
	}
	select {
	case to <- b:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// within tells whether a batch shall be read, and counts it as one or the other.
func (d *dump) within(entries []drain.Entry) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cut == "" {
		d.cut = d.reached()
	}
	if d.cut != "" {
		d.counts.NotReached += int64(len(entries))
		return false
	}
	d.read += int64(len(entries))
	for n := range entries {
		d.size += entries[n].Size
	}
	return true
}

func (d *dump) reached() string {
	switch l := d.Limit; {
	case l.Items > 0 && d.read >= l.Items:
		return fmt.Sprintf("limit of %d items", l.Items)
	case l.Bytes > 0 && d.size >= l.Bytes:
		return fmt.Sprintf("limit of %d bytes", l.Bytes)
	case l.Time > 0 && time.Since(d.begun) >= l.Time:
		return fmt.Sprintf("limit of %v", l.Time)
	}
	return ""
}

// add sums up what a fetcher counted.
func (d *dump) add(c *item.Counts) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range []struct{ to, from *int64 }{{&d.counts.Listed, &c.Listed}, {&d.counts.Expired, &c.Expired},
		{&d.counts.Unreachable, &c.Unreachable}, {&d.counts.Gone, &c.Gone},
		{&d.counts.TooLarge, &c.TooLarge}, {&d.counts.WideFlags, &c.WideFlags}, {&d.counts.Stale, &c.Stale},
		{&d.counts.TokensLost, &c.TokensLost}, {&d.counts.ReadErrors, &c.ReadErrors}, {&d.counts.Interrupted, &c.Interrupted}} {
		*p.to += *p.from
	}
}

// finish writes cache.json.
func (d *dump) finish(bands []bandInfo, v memcached.Version) (*item.Cache, error) {
	c := item.Cache{Began: d.begun.Unix(), Ended: time.Now().Unix(), Cut: d.cut, Counts: d.counts,
		Source: item.Source{Server: d.Server.String(), Version: v.String(), Listing: string(d.listing),
			Skew: d.clock.Ahead(), Memory: d.first.Limit}}
	for _, b := range bands {
		c.Bands = append(c.Bands, item.Band{Fetched: b.fetched, Access: d.clock.Host(b.access) / 1000})
	}
	return d.writer.Finish(c)
}
