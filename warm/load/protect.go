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
	protectShare  = 0.30 // of the memory: the server keeps 40 % for what is in use
	protectRounds = 2    // the first only marks an item as fetched

	protectTime = 20 * time.Second // at most, once the time for the load is over
)

// protect uses the hottest items twice, so that the server evicts them last although they were stored first.
// Only items that clients had used are: of the others it would be a lie.
func (l *Load) protect(ctx context.Context, pieces []piece) error {
	room := int64(float64(l.settings.MaxBytes) * protectShare)
	var chosen []piece
	for _, p := range pieces {
		if p.items = min(p.items, l.mark(p.name()).Items); p.items == 0 || !p.fetched() {
			continue
		}
		if p.size > room && p.size > 0 {
			p.items, p.size = p.items*room/p.size, room
		}
		if room -= p.size; p.items == 0 {
			break
		}
		chosen = append(chosen, p)
	}
	if len(chosen) == 0 {
		return nil
	}
	c, err := l.again(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	t := toucher{l: l, conn: c, end: l.protectEnd()}
	for range protectRounds {
		t.used = 0
		for _, p := range chosen {
			if err = t.use(ctx, p); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	if err != nil && !errors.Is(err, errLate) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Protected = t.used
	breakpoint.At("warm:protected")
	return nil
}

// errLate ends the protection: the service waits for it, and it is a help, not a duty.
var errLate = errors.New("no time left")

// protectEnd is the end of the load's own time, or a little after it; zero: none.
func (l *Load) protectEnd() time.Time {
	if l.Limit.Time <= 0 {
		return time.Time{}
	}
	own, little := l.watch.begun.Add(l.Limit.Time), time.Now().Add(min(l.Limit.Time/5, protectTime))
	if own.After(little) {
		return own
	}
	return little
}

// toucher uses items. Where clients are there it keeps to the load's rate.
type toucher struct {
	l     *Load
	conn  *memcached.Conn
	end   time.Time
	used  int64               // that are there
	keys  [windowItems][]byte // of those that were asked for
	item  item.Item
	reply memcached.Reply
}

// use hits the items of a piece once.
func (t *toucher) use(ctx context.Context, p piece) error {
	r, err := p.open(0)
	if err != nil {
		return err
	}
	defer r.Close()
	for left := p.items; left > 0; {
		sent, err := t.ask(r, p.from.Keys, &left)
		if err == nil && t.l.InUse {
			err = t.l.pace.Take(ctx, sent)
		}
		if err == nil {
			err = t.hear(sent)
		}
		if err == nil && !t.end.IsZero() && time.Now().After(t.end) {
			err = errLate
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ask queues a window.
func (t *toucher) ask(r *item.PartReader, ours func([]byte) bool, left *int64) (sent int, err error) {
	for ; sent < windowItems && *left > 0; *left-- {
		if err := r.Borrow(&t.item); err == io.EOF {
			*left = 0
			break
		} else if err != nil {
			return sent, err
		}
		if ours != nil && !ours(t.item.Key) {
			continue
		}
		if err := t.conn.SendTouch(t.item.Key); err != nil {
			return sent, err
		}
		t.keys[sent] = append(t.keys[sent][:0], t.item.Key...)
		sent++
	}
	return sent, nil
}

// hear takes the answers. The recache token of a stale item, which this use has taken, is given back.
func (t *toucher) hear(sent int) error {
	if err := t.conn.Flush(); err != nil {
		return err
	}
	back := 0
	for _, key := range t.keys[:sent] {
		if err := t.conn.Read(&t.reply); err != nil {
			return err
		}
		if t.reply.Status == memcached.Done {
			t.used++
		}
		if t.reply.Won && t.reply.CAS != 0 {
			if err := t.conn.SendGiveBack(key, t.reply.CAS); err != nil {
				return err
			}
			back++
		}
	}
	if err := t.conn.Flush(); err != nil {
		return err
	}
	for range back { // Exists or Absent: somebody has stored or deleted it meanwhile
		if err := t.conn.Read(&t.reply); err != nil {
			return err
		}
	}
	return nil
}
