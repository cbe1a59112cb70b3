package load

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/memcached"
)

const (
	windowItems = 256
	windowBytes = 256 << 10
	inFlight    = 3   // windows on one connection
	maxLost     = 100 // connections, in one part
)

// window is what is sent before its end is asked for.
type window struct {
	sent   int64
	repeat bool   // it may be stored: its answers were not heard when it was sent before
	after  Mark   // once it is settled
	counts Counts // of what was not sent
}

// worker stores pieces, one after the other.
type worker struct {
	l    *Load
	gate *gate
	conn *memcached.Conn

	name  string
	from  *Source
	at    Mark // behind the last item read
	open  []window
	item  item.Item
	reply memcached.Reply
}

// run takes pieces until there are none. Connections last until outer ends: what was sent when ctx does is
// still settled.
func (w *worker) run(ctx, outer context.Context, work <-chan *piece, done chan<- struct{}) (err error) {
	if w.conn, err = w.l.again(outer); err != nil {
		return err
	}
	defer func() { w.conn.Close() }()
	for p := range work {
		w.name, w.from = p.name(), p.from
		err := w.piece(ctx, p)
		for lost := 0; errors.Is(err, memcached.ErrLost) && ctx.Err() == nil && lost < maxLost; lost++ {
			if err = w.renew(outer); err == nil {
				err = w.piece(ctx, p)
			}
		}
		if err != nil {
			return err
		}
		done <- struct{}{}
	}
	return nil
}

// renew takes another connection.
func (w *worker) renew(ctx context.Context) error {
	w.l.addCounts(Counts{Interrupted: 1})
	c, err := w.l.again(ctx)
	if err != nil {
		return err
	}
	w.conn.Close()
	w.conn = c
	return nil
}

// piece stores what is not yet marked as stored.
func (w *worker) piece(ctx context.Context, p *piece) error {
	w.open = w.open[:0]
	w.at = w.l.mark(w.name)
	r, err := p.open(w.at.Offset)
	if err != nil {
		return err
	}
	err = w.windows(ctx, r, p)
	p.sent = max(p.sent, w.at.Offset)
	for ctx.Err() != nil && len(w.open) > 0 && w.settle() == nil { // others stopped: what is under way counts
	}
	return errors.Join(err, r.Close())
}

func (w *worker) windows(ctx context.Context, r *item.PartReader, p *piece) error {
	for more := true; more; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		win, end, err := w.fill(r, p)
		if err != nil {
			return err
		}
		more = !end
		if err := w.gate.pass(ctx, int(win.sent)); err != nil {
			return err
		}
		if err := w.l.pace.Take(ctx, int(win.sent)); err != nil {
			return err
		}
		if err := w.conn.SendNoop(); err != nil {
			return err
		}
		if err := w.conn.Flush(); err != nil {
			return err
		}
		w.open = append(w.open, win)
		breakpoint.At("warm:sent")
		for len(w.open) >= inFlight || !more && len(w.open) > 0 {
			if err := w.settle(); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill queues the next window. end: it is the last one of the piece.
func (w *worker) fill(r *item.PartReader, p *piece) (win window, end bool, err error) {
	win.repeat = w.at.Offset < p.sent
	bytes, now := 0, time.Now()
	for n := 0; n < windowItems && bytes < windowBytes; n++ {
		if w.at.Items >= p.items {
			end = true
			break
		}
		if err := r.Borrow(&w.item); err == io.EOF {
			end = true
			break
		} else if err != nil {
			return win, false, err
		}
		w.at.Items++
		w.at.Offset = r.Offset() // also when the connection is lost within this window: a part of it may be there
		sent, err := w.send(&win.counts, now)
		if err != nil {
			return win, false, err
		}
		if sent {
			win.sent++
			bytes += len(w.item.Key) + len(w.item.Value)
		}
	}
	win.after = w.at
	return win, end, nil
}

// send queues the item if this server shall have it.
func (w *worker) send(c *Counts, now time.Time) (bool, error) {
	i := &w.item
	if w.from.Keys != nil && !w.from.Keys(i.Key) {
		c.NotOurs++
		return false, nil
	}
	if int64(len(i.Value)) > w.l.settings.ItemSizeMax {
		c.TooLarge++
		return false, nil
	}
	e, err := w.l.expiry(i, now)
	if errors.Is(err, memcached.ErrExpired) {
		c.Expired++
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, w.conn.SendAdd(i.Key, i.Value, i.Flags, e)
}

// expiry is an item's end as the server takes it. One that is over within a second is over.
func (l *Load) expiry(i *item.Item, now time.Time) (memcached.Expiry, error) {
	if i.Expires == 0 {
		return memcached.Expiry{}, nil
	}
	clock, at := l.clock.Now(now), l.clock.Server(i.Expires-l.late*1000)
	if at-clock <= 1 {
		return memcached.Expiry{}, memcached.ErrExpired
	}
	return memcached.ExpireAt(clock, at)
}
