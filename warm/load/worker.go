package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

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
	repeat bool   // it may have been stored before a connection was lost
	after  Mark   // once it is settled
	counts Counts // of what was not sent
}

// worker stores pieces, one after the other.
type worker struct {
	l    *Load
	gate *gate
	conn *memcached.Conn

	name   string
	at     Mark  // behind the last item read
	beyond int64 // offset up to which items were sent on an earlier connection
	open   []window
	item   item.Item
	reply  memcached.Reply
}

// store fills the server with pieces, on several connections, until all is done or there is a reason to stop.
func (l *Load) store(outer context.Context, probe *memcached.Conn, pieces []piece) error {
	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)
	work, done := make(chan piece), make(chan struct{}, len(pieces))
	g := newGate()
	ended := make(chan struct{}, l.Conns)
	for range l.Conns {
		w := &worker{l: l, gate: g}
		go func() {
			if err := w.run(ctx, outer, work, done); err != nil {
				cancel(err) // the others too
			}
			ended <- struct{}{}
		}()
	}
	watching, quiet := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		if err := l.watch(watching, g); err != nil {
			cancel(err)
		}
		close(watched)
	}()
	deal(ctx, pieces, work, done)
	close(work)
	for range l.Conns {
		<-ended
	}
	quiet()
	<-watched
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// What was stored since the last look.
	st, err := probe.State()
	if err != nil {
		return nil // all is stored and answered: what becomes of the server now is no longer ours
	}
	return l.judge(st)
}

// deal hands the pieces out, those of a band together and one band after the other: the server's own order of
// eviction is that in which they are stored.
func deal(ctx context.Context, pieces []piece, work chan<- piece, done <-chan struct{}) {
	under := 0
	for n, p := range pieces {
		for ; under > 0 && p.band != pieces[n-1].band; under-- {
			select {
			case <-done:
			case <-ctx.Done():
				return
			}
		}
		select {
		case work <- p:
			under++
		case <-ctx.Done():
			return
		}
	}
}

// run takes pieces until there are none. Connections last until outer ends: what was sent when ctx does is
// still settled.
func (w *worker) run(ctx, outer context.Context, work <-chan piece, done chan<- struct{}) (err error) {
	if w.conn, err = w.l.again(outer); err != nil {
		return err
	}
	defer func() { w.conn.Close() }()
	for p := range work {
		w.name, w.beyond = partName(p.band, p.part), 0
		err := w.piece(ctx, p)
		for lost := 0; errors.Is(err, memcached.ErrLost) && ctx.Err() == nil && lost < maxLost; lost++ {
			w.beyond = max(w.beyond, w.at.Offset)
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
func (w *worker) piece(ctx context.Context, p piece) error {
	w.open = w.open[:0]
	w.at = w.l.mark(w.name)
	r, err := w.l.Cache.Part(p.band, p.part, w.at.Offset)
	if err != nil {
		return err
	}
	err = w.windows(ctx, r, p)
	for ctx.Err() != nil && len(w.open) > 0 && w.settle() == nil { // others stopped: what is under way counts
	}
	return errors.Join(err, r.Close())
}

func (w *worker) windows(ctx context.Context, r *item.PartReader, p piece) error {
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
		for len(w.open) >= inFlight || !more && len(w.open) > 0 {
			if err := w.settle(); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill queues the next window. end: it is the last one of the piece.
func (w *worker) fill(r *item.PartReader, p piece) (win window, end bool, err error) {
	win.repeat = w.at.Offset < w.beyond
	bytes := 0
	for n := 0; n < windowItems && bytes < windowBytes; n++ {
		if w.at.Items >= p.items {
			end = true
			break
		}
		if err := r.Next(&w.item); err == io.EOF {
			end = true
			break
		} else if err != nil {
			return win, false, err
		}
		w.at.Items++
		sent, err := w.send(&win.counts)
		if err != nil {
			return win, false, err
		}
		if sent {
			win.sent++
			bytes += len(w.item.Key) + len(w.item.Value)
		}
	}
	w.at.Offset = r.Offset()
	win.after = w.at
	return win, end, nil
}

// send queues the item if this server shall have it.
func (w *worker) send(c *Counts) (bool, error) {
	i := &w.item
	if w.l.Keys != nil && !w.l.Keys(i.Key) {
		c.NotOurs++
		return false, nil
	}
	if int64(len(i.Value)) > w.l.settings.ItemSizeMax {
		c.TooLarge++
		return false, nil
	}
	e, err := w.l.expiry(i)
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
func (l *Load) expiry(i *item.Item) (memcached.Expiry, error) {
	if i.Expires == 0 {
		return memcached.Expiry{}, nil
	}
	now, at := l.clock.Now(time.Now()), l.clock.Server(i.Expires-l.late*1000)
	if at-now <= 1 {
		return memcached.Expiry{}, memcached.ErrExpired
	}
	return memcached.ExpireAt(now, at)
}

// settle reads the answers of the oldest window, and marks it as stored.
func (w *worker) settle() error {
	win := w.open[0]
	kept, c := win.sent, win.counts
	for {
		if err := w.conn.Read(&w.reply); err != nil {
			return err
		}
		switch w.reply.Status {
		case memcached.End:
			c.Loaded = kept
			w.open = w.open[1:]
			w.l.settleWindow(w.name, win, c)
			if c.OutOfMemory > 0 {
				return w.l.stop("the server is out of memory")
			}
			return nil
		case memcached.Done:
			continue // a large one, stored
		case memcached.Exists:
			if win.repeat {
				c.Repeated++
			} else {
				c.Exists++
			}
		case memcached.Refused:
			refused(&c, w.reply.Err)
		default:
			return fmt.Errorf("memcached %s: %w: status %d to a store", w.l.Server, memcached.ErrProtocol, w.reply.Status)
		}
		kept--
	}
}

func refused(c *Counts, err error) {
	switch {
	case errors.Is(err, memcached.ErrOutOfMemory):
		c.OutOfMemory++
	case errors.Is(err, memcached.ErrTooLarge):
		c.TooLarge++
	default:
		c.Refused++
	}
}

func (l *Load) mark(name string) Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.progress.Parts[name]
}

// settleWindow counts what is answered, and marks how far the part is.
func (l *Load) settleWindow(name string, win window, c Counts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled.Add(win.after.Items - l.progress.Parts[name].Items)
	l.progress.Parts[name] = win.after
	l.add(c)
}

func (l *Load) addCounts(c Counts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(c)
}

// add sums up; the lock is held.
func (l *Load) add(c Counts) {
	t := &l.counts
	for _, p := range []struct{ to, from *int64 }{{&t.Loaded, &c.Loaded}, {&t.Exists, &c.Exists}, {&t.Expired, &c.Expired},
		{&t.NotOurs, &c.NotOurs}, {&t.TooLarge, &c.TooLarge}, {&t.OutOfMemory, &c.OutOfMemory}, {&t.Refused, &c.Refused},
		{&t.Repeated, &c.Repeated}, {&t.Interrupted, &c.Interrupted}, {&t.Protected, &c.Protected}} {
		*p.to += *p.from
	}
}
