package zk

import (
	"context"
	"errors"
	"time"

	gozk "github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/lock"
)

type sawFunc func(lock.Version, clock.Stamp)

// Await waits for the grant. Each connection starts from the list anew, so no event that a lost
// connection swallowed can be missed; one connection holds one watch, or two when next in line.
func (p *place) Await(ctx context.Context, saw func(lock.Version, clock.Stamp)) error {
	looked := false
	for {
		l, err := p.s.link(ctx)
		if err == nil {
			err = p.awaitOn(ctx, l, saw, &looked)
		}
		switch {
		case err == nil:
			return p.grant()
		case ctx.Err() != nil:
			return ctx.Err()
		}
		if err = p.d.explain(err, "wait for the lock"); definite(err) {
			return p.lose(err)
		}
		if l != nil {
			l.wire.cut(err) // the session finds another one, at its own pace
		}
	}
}

// grant marks the place as held, unless it was given up meanwhile.
func (p *place) grant() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state.over {
		return p.d.errorf(lock.ErrPlaceLost, "%w", errClosed)
	}
	if !p.state.granted {
		p.watch.Go(p.watchOwn)
	}
	p.state.granted, p.state.ahead = true, lock.Waiter{}
	return nil
}

// lose ends a place that will not be granted.
func (p *place) lose(err error) error {
	p.markGone()
	p.over(true)
	return err
}

// awaitOn waits on one connection. It returns nil when the own key is first.
func (p *place) awaitOn(ctx context.Context, l *link, saw sawFunc, looked *bool) error {
	if !*looked {
		if err := p.look(ctx, l, saw); err != nil {
			return err
		}
		*looked = true
	}
	var w watches
	for {
		ahead, at, err := p.position(ctx, l)
		if err != nil || at == 0 {
			return err
		}
		if ahead != w.name || w.ahead == nil {
			if err := p.watchAhead(ctx, l, &w, ahead); err != nil {
				return err
			}
			continue // list again: what changed before the watch lay there gives no event
		}
		if err := p.until(ctx, l, &w, at == 1, saw); err != nil {
			return err
		}
	}
}

// look reads the record once, for T2.
func (p *place) look(ctx context.Context, l *link, saw sawFunc) error {
	ctx, cancel := p.d.try(ctx)
	defer cancel()
	_, stat, err := get(ctx, l, p.d.record)
	switch {
	case err == nil:
		saw(version(stat), p.d.set.Clock())
	case !errors.Is(err, gozk.ErrNoNode):
		return p.aboutRecord(ctx, l, err, "read the state record")
	}
	return nil
}

// position lists the queue: the name just ahead and how many there are. Being first counts only if the
// key is there and of our session. That is asked by a write on the key, so that the contender behind
// us, who watches it, learns that it is next in line now; the one that left was not its to watch.
func (p *place) position(ctx context.Context, l *link) (string, int, error) {
	ctx, cancel := p.d.try(ctx)
	defer cancel()
	names, err := children(ctx, l, p.d.path, false)
	if err != nil {
		return "", 0, err
	}
	q := queue(names, p.me.seq)
	at := position(q, p.me.name)
	switch {
	case at < 0:
		return "", 0, p.check(nil)
	case at > 0:
		return q[at-1].name, at, nil
	}
	stat, err := p.touch(ctx, l)
	if err != nil {
		return "", 0, err
	}
	return "", 0, p.check(stat)
}

// touch writes the own key as it is, through the quorum; nil if the key is gone.
func (p *place) touch(ctx context.Context, l *link) (*gozk.Stat, error) {
	stat, err := call(ctx, l, func(c *gozk.Conn) (*gozk.Stat, error) { return c.Set(p.key, p.value, -1) })
	if errors.Is(err, gozk.ErrNoNode) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return stat, nil
}

// watches are the channels of what was last watched; nil where nothing is.
type watches struct {
	name          string // whose key ahead is watched
	ahead, record <-chan gozk.Event
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
	w.name, w.ahead = name, events
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
		case <-w.ahead:
			w.ahead = nil
			return nil
		case <-again:
			return nil
		case <-w.record:
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
