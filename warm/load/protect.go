package load

import (
	"context"
	"io"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/warm/item"
	"github.com/interlock-run/interlock/warm/memcached"
)

const (
	protectShare  = 0.30 // of the memory: the server keeps 40 % for what is in use
	protectRounds = 2    // the first only marks an item as fetched
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
	var used int64
	for range protectRounds {
		used = 0
		for _, p := range chosen {
			n, err := l.use(ctx, c, p)
			if err != nil {
				return err
			}
			used += n
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Protected = used
	breakpoint.At("warm:protected")
	return nil
}

// use hits the items of a piece once and counts those that are there.
func (l *Load) use(ctx context.Context, c *memcached.Conn, p piece) (used int64, err error) {
	r, err := p.open(0)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	var i item.Item
	for left := p.items; left > 0; {
		if ctx.Err() != nil {
			return used, context.Cause(ctx)
		}
		sent := 0
		for ; sent < windowItems && left > 0; left-- {
			if err := r.Next(&i); err == io.EOF {
				left = 0
				break
			} else if err != nil {
				return used, err
			}
			if p.from.Keys != nil && !p.from.Keys(i.Key) {
				continue
			}
			if err := c.SendTouch(i.Key); err != nil {
				return used, err
			}
			sent++
		}
		n, err := hits(c, sent)
		if used += n; err != nil {
			return used, err
		}
	}
	return used, nil
}

func hits(c *memcached.Conn, sent int) (used int64, err error) {
	if err := c.Flush(); err != nil {
		return 0, err
	}
	var reply memcached.Reply
	for range sent {
		if err := c.Read(&reply); err != nil {
			return used, err
		}
		if reply.Status == memcached.Done {
			used++
		}
	}
	return used, nil
}
