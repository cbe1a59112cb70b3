package zk

import (
	"context"
	"errors"
	"time"

	gozk "github.com/go-zookeeper/zk"
)

// watches are the channels of what was last watched; nil where nothing is.
type watches struct {
	name          string // whose key ahead is watched
	ahead, record <-chan gozk.Event
	fell          bool // the key ahead was deleted
	blind         bool // the key ahead may not be read: current servers then keep back its events, too
}

// watchAhead arms the watch on the key just ahead, unless that key is gone.
func (p *place) watchAhead(ctx context.Context, l *link, w *watches, name string) error {
	ctx, cancel := p.d.try(ctx)
	defer cancel()
	node := p.d.path + "/" + name
	data, stat, events, err := getW(ctx, l, node)
	w.blind = errors.Is(err, gozk.ErrNoAuth) && p.d.set.Foreign
	if w.blind {
		stat, events, err = existsW(ctx, l, node)
	}
	if errors.Is(err, gozk.ErrNoNode) || err == nil && stat == nil {
		return nil
	}
	if err != nil {
		return err
	}
	w.name, w.ahead, w.fell = name, events, false
	p.setAhead(waiter(name, data, stat))
	return nil
}

// until waits for the key just ahead to change, and meanwhile, when next in line, watches the record.
// Behind a foreign key that we may not read there is nothing to do but to look again now and then.
func (p *place) until(ctx context.Context, l *link, w *watches, next bool, saw sawFunc) error {
	var again <-chan time.Time
	if w.blind {
		t := time.NewTimer(p.d.set.Timing.Heartbeat)
		defer t.Stop()
		again = t.C
	}
	for {
		if next && w.record == nil {
			events, err := p.watchRecord(ctx, l, saw)
			if err != nil {
				return err
			}
			w.record = events
		}
		select {
		case e := <-w.ahead:
			w.ahead, w.fell = nil, e.Type == gozk.EventNodeDeleted
			return nil
		case <-again:
			return nil
		case <-w.record: // a heartbeat: an own key that was removed is learned of now, not when the one ahead goes
			if err := p.KeepAlive(ctx); err != nil {
				return err
			}
			w.record = nil
		case <-p.gone:
			return p.lost()
		case <-l.wire.closed:
			return l.wire.cause
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watchRecord arms the watch on the record and reports the version it found, stamped after the reply.
func (p *place) watchRecord(ctx context.Context, l *link, saw sawFunc) (<-chan gozk.Event, error) {
	ctx, cancel := p.d.try(ctx)
	defer cancel()
	for {
		_, stat, events, err := getW(ctx, l, p.d.record)
		if err == nil {
			saw(version(stat), p.d.set.Clock())
			return events, nil
		}
		if !errors.Is(err, gozk.ErrNoNode) {
			return nil, p.aboutRecord(ctx, l, err, "watch the state record")
		}
		stat, events, err = existsW(ctx, l, p.d.record)
		if err != nil || stat == nil {
			return events, err
		}
	}
}

// watchOwn closes Gone when the own key is deleted, from the grant until the session ends, which ends
// each wait below.
func (p *place) watchOwn() {
	ctx := context.Background()
	for {
		l, err := p.s.link(ctx)
		if err != nil {
			return
		}
		p.watchOwnOn(ctx, l)
		select {
		case <-p.gone:
			return
		default:
		}
	}
}

func (p *place) watchOwnOn(ctx context.Context, l *link) {
	try, cancel := p.d.try(ctx)
	defer cancel()
	stat, events, err := existsW(try, l, p.key)
	if err != nil {
		l.wire.cut(err)
		return
	}
	if p.check(stat) != nil {
		return
	}
	select {
	case <-events:
	case <-l.wire.closed:
	case <-p.s.ended:
	}
}

func getW(ctx context.Context, l *link, node string) ([]byte, *gozk.Stat, <-chan gozk.Event, error) {
	type content struct {
		data   []byte
		stat   *gozk.Stat
		events <-chan gozk.Event
	}
	c, err := call(ctx, l, func(c *gozk.Conn) (content, error) {
		data, stat, events, err := c.GetW(node)
		return content{data, stat, events}, err
	})
	return c.data, c.stat, c.events, err
}

// existsW watches a node or its absence (then the stat is nil).
func existsW(ctx context.Context, l *link, node string) (*gozk.Stat, <-chan gozk.Event, error) {
	type content struct {
		stat   *gozk.Stat
		events <-chan gozk.Event
	}
	c, err := call(ctx, l, func(c *gozk.Conn) (content, error) {
		there, stat, events, err := c.ExistsW(node)
		if !there {
			stat = nil
		}
		return content{stat, events}, err
	})
	return c.stat, c.events, err
}
