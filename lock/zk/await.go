package zk

import (
	"context"
	"errors"

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
		if at == 1 && w.fell { // none comes ahead of us later: no need for the whole list
			return p.first(ctx, l)
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

// position lists the queue: the name just ahead and how many there are.
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
	return "", 0, p.first(ctx, l)
}

// first confirms what the queue showed: being first counts only if the key is there and of our session.
// That is asked by a write on the key, so that the contender behind us, who watches it, learns that it is
// next in line now; the one that left was not its to watch.
func (p *place) first(ctx context.Context, l *link) error {
	ctx, cancel := p.d.try(ctx)
	defer cancel()
	stat, err := p.touch(ctx, l)
	if err != nil {
		return err
	}
	return p.check(stat)
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
