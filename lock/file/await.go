package file

import (
	"context"
	"errors"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/lock"
)

// Await waits in the kernel, then counts the token up and brings it onto the disk before it says so.
func (p *place) Await(ctx context.Context, saw func(lock.Version, clock.Stamp)) error {
	if err := p.waits.take(ctx); err != nil {
		return err
	}
	defer p.waits.give()
	err := p.await(ctx, saw)
	if errors.Is(err, lock.ErrPlaceLost) { // nobody needs to leave a place that is lost
		err = errors.Join(err, p.bounded(context.WithoutCancel(ctx), "close it", func() answer { return answer{err: p.end()} }).err)
	}
	return err
}

// await has the caller's turn in waits.
func (p *place) await(ctx context.Context, saw func(lock.Version, clock.Stamp)) error {
	if err := p.acquire(ctx); err != nil {
		return err
	}
	// The lock is ours now: the grant is carried through, whatever became of the caller's context.
	got := p.bounded(context.WithoutCancel(ctx), "count the token in it", func() answer {
		now, err := p.grant()
		return answer{now: now, err: err}
	})
	if got.err == nil && got.now.Version != 0 {
		saw(versionOf(got.now.Version), p.d.set.Clock())
	}
	return got.err
}

// acquire gets the kernel's lock, at once or by waiting.
func (p *place) acquire(ctx context.Context) error {
	got := p.bounded(context.WithoutCancel(ctx), "lock it", func() answer {
		locked, err := p.try()
		return answer{locked: locked, err: err}
	})
	if got.err != nil || got.locked {
		return got.err
	}
	b := block(p.store.fd)
	var why error
	select {
	case err := <-b.done:
		return classify(p.d.path, "wait for its lock", err)
	case <-ctx.Done():
		why = ctx.Err()
	case <-p.gone:
		why = p.lost("it was removed or replaced")
	case <-p.quit:
		why = p.lost("the place was left")
	}
	p.stuck = !b.cancel()
	return why
}

// try takes the lock if it is free, and else learns who has it.
func (p *place) try() (bool, error) {
	switch {
	case p.phase == ended || p.stuck:
		return false, p.lost("the place was left")
	case p.phase == granted:
		return true, nil
	}
	locked, err := tryLock(p.store.fd)
	if err != nil {
		return false, classify(p.d.path, "lock it", err)
	}
	if !locked {
		err = p.lookAhead()
	}
	return locked, err
}

// lookAhead notes who has the lock, for messages.
func (p *place) lookAhead() error {
	now, err := p.store.load()
	if err == nil {
		w := now.holder(p.d.path)
		p.ahead.Store(&w)
	}
	return err
}

// grant runs with the kernel's lock, and frees it when the place cannot be granted.
func (p *place) grant() (snapshot, error) {
	if p.phase == granted {
		return p.mine()
	}
	now, err := p.count()
	if err != nil {
		return now, errors.Join(err, unlock(p.store.fd))
	}
	p.token.Store(now.Token)
	p.ahead.Store(nil)
	p.phase = granted
	if p.watch, err = watchName(p.d.path, p.store.fd, p.markGone); err != nil {
		p.d.set.Log("lock file: not watched, only looked at with each heartbeat", "path", p.d.path, "cause", err)
	}
	p.d.set.Log("lock file: granted", "path", p.d.path, "token", now.Token)
	return now, nil
}

// count uses up one token, in two slots at once: so a single damaged slot can never set it back. What an
// earlier holder left is on the disk before, so that there is always a whole state to fall back to.
func (p *place) count() (snapshot, error) {
	now, err := p.mine()
	if err == nil {
		err = p.store.sync(now)
	}
	if err != nil {
		return now, err
	}
	next := now.state
	next.Token++
	next.Holder, next.Node, next.Granted = p.d.set.Holder, p.d.set.Node, time.Now().UTC()
	for range 2 {
		if now, err = p.store.update(now, next, now.data); err != nil {
			return now, err
		}
	}
	return now, p.store.sync(now)
}
