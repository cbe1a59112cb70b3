package dump

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/memcached"
)

const (
	inFlight     = 3 // batches on one connection
	reconnects   = 5
	askAgain     = 300 * time.Millisecond // before the second try to connect, doubled at each
	touchedSlack = 2                      // seconds that listed and asked ends may differ without a change between
)

// op is a command whose reply has not been read.
type op struct {
	entry drain.Entry
	band  int
	asked int64  // when, by the server's clock
	back  uint64 // give the token of this cas back; 0: it is a read
	twice bool   // asked for on more than one connection
}

// fetcher reads items on a connection of its own.
type fetcher struct {
	d      *dump
	conn   *memcached.Conn
	open   []op                        // in the order of their replies
	room   []op                        // memory for open
	parts  [bandCount]*item.PartWriter // by band
	reply  memcached.Reply
	out    item.Item
	counts item.Counts
}

// run reads until there are no more batches.
func (f *fetcher) run(ctx context.Context, batches <-chan batch) (err error) {
	if f.conn, err = f.d.dial(ctx); errors.Is(err, memcached.ErrLost) {
		err = f.renew(ctx, err) // it may be on its way back, like later on
	}
	if err != nil {
		return err
	}
	defer func() {
		f.conn.Close()
		err = errors.Join(err, f.endParts())
	}()
	for {
		b, err := f.take(ctx, batches)
		if err != nil || b.entries == nil {
			return err
		}
		f.open = append(f.room[:0], f.open...) // to the front
		for _, e := range b.entries {
			f.open = append(f.open, op{entry: e, band: b.band})
		}
		f.room = f.open
		if err := f.ask(ctx, len(b.entries)); err != nil {
			return err
		}
		for len(f.open) > (inFlight-1)*f.d.rate.batch() {
			if err := f.settleOne(ctx); err != nil {
				return err
			}
		}
	}
}

// take waits for a batch; while there is none, replies are read. An empty one: there are no more, and all is read.
func (f *fetcher) take(ctx context.Context, batches <-chan batch) (batch, error) {
	for len(f.open) > 0 {
		select {
		case b, more := <-batches:
			if more {
				return b, nil
			}
			batches = nil // never ready again
		default:
		}
		if err := f.settleOne(ctx); err != nil {
			return batch{}, err
		}
	}
	if batches == nil {
		return batch{}, nil
	}
	select {
	case b := <-batches:
		return b, nil
	case <-ctx.Done():
		return batch{}, context.Cause(ctx)
	}
}

// ask sends the last n of what is open.
func (f *fetcher) ask(ctx context.Context, n int) error {
	err := f.send(f.open[len(f.open)-n:])
	if errors.Is(err, memcached.ErrLost) {
		return f.renew(ctx, err)
	}
	return err
}

// read takes the next reply, if need be over another connection.
func (f *fetcher) read(ctx context.Context) error {
	for try := 0; ; try++ {
		err := f.conn.Borrow(&f.reply)
		if !errors.Is(err, memcached.ErrLost) || try == reconnects {
			return err
		}
		if err := f.renew(ctx, err); err != nil {
			return err
		}
	}
}

// renew connects again and asks for all that is open.
func (f *fetcher) renew(ctx context.Context, lost error) error {
	f.counts.Interrupted++
	for n := range f.open {
		f.open[n].twice = true
	}
	for try := range reconnects {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := pause(ctx, askAgain<<try>>1); err != nil {
			return err
		}
		c, err := f.d.dial(ctx)
		if err == nil {
			if f.conn != nil {
				f.conn.Close()
			}
			f.conn = c
			err = f.send(f.open)
		}
		if !errors.Is(err, memcached.ErrLost) {
			return err
		}
		lost = err
	}
	return lost
}

// send asks for each.
func (f *fetcher) send(ops []op) error {
	now := f.d.now()
	for n := range ops {
		o := &ops[n]
		o.asked = now
		var err error
		if o.back != 0 {
			err = f.conn.SendGiveBack(o.entry.Key, o.back)
		} else {
			err = f.conn.SendGet(o.entry.Key)
		}
		if err != nil {
			return err
		}
	}
	return f.conn.Flush()
}

// settleOne reads the next reply and does what it calls for.
func (f *fetcher) settleOne(ctx context.Context) error {
	if err := f.read(ctx); err != nil {
		return err
	}
	o := f.open[0]
	f.open = f.open[1:]
	if o.back != 0 {
		if f.reply.Status == memcached.Refused {
			f.counts.TokensLost++
		}
		return nil // Exists or Absent: somebody has stored or deleted it meanwhile
	}
	return f.judge(ctx, &o)
}

// judge stores an item, or counts why not.
func (f *fetcher) judge(ctx context.Context, o *op) error {
	r, c, e := &f.reply, &f.counts, &o.entry
	switch {
	case r.Status == memcached.Absent && e.Expires != -1 && e.Expires <= f.d.now():
		c.Expired++
	case r.Status == memcached.Absent:
		c.Gone++
	case r.Status != memcached.Value:
		c.ReadErrors++
	case r.Stale:
		c.Stale++
		return f.giveBack(ctx, o)
	case r.Left >= 0 && r.Left <= 1:
		c.Expired++
	case r.Size > f.d.Values:
		c.TooLarge++
	case r.Flags > math.MaxUint32:
		c.WideFlags++
	default:
		return f.store(o)
	}
	return nil
}

// giveBack returns the token that this read took. Of an item that was asked for twice it may be the first one
// that took it; a token too many has one client more refill the item.
func (f *fetcher) giveBack(ctx context.Context, o *op) error {
	if !f.reply.Won && !o.twice {
		return nil
	}
	if f.reply.CAS == 0 {
		f.counts.TokensLost++ // a server without cas: what could be given back might be a newer item
		return nil
	}
	f.open = append(f.open, op{entry: o.entry, back: f.reply.CAS})
	return f.ask(ctx, 1)
}
