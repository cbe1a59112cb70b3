package etcd

import (
	"context"
	"errors"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/lock"
)

const (
	// retryPause lies between a round of waiting that failed and the next.
	retryPause = 250 * time.Millisecond
	// looksEvery is after how many keep-alives a waiter looks at the queue though no event came. A lost
	// event, or the loss of our key alone, would otherwise show only when the one ahead goes.
	looksEvery = 5
)

// A waiting is one Await: rounds of a look at the queue and the watches that follow from it.
type waiting struct {
	p     *place
	saw   func(lock.Version, clock.Stamp)
	first bool // the look right after joining
	renew *time.Timer
	beats int
	last  sight
}

// Await keeps the lease alive, watches the key just ahead, and when next in line the record.
func (p *place) Await(ctx context.Context, saw func(lock.Version, clock.Stamp)) error {
	w := &waiting{p: p, saw: saw, first: true, renew: time.NewTimer(p.period())}
	defer w.renew.Stop()
	for {
		granted, err := w.round(ctx)
		switch {
		case granted:
			p.setAhead(lock.Waiter{})
			p.watchOwn()
			return nil
		case errors.Is(err, lock.ErrPlaceLost):
			p.markGone()
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, lock.ErrCredentials), errors.Is(err, lock.ErrConfig), errors.Is(err, errClosed):
			return err
		case err != nil:
			p.d.s.Log("waiting for the lock: etcd does not answer, trying again", "cause", err)
			w.pause(ctx)
		}
	}
}

// period of keep-alives while waiting: two may fail.
func (p *place) period() time.Duration { return p.ttl / 3 }

// round looks once and then waits for a reason to look again.
func (w *waiting) round(ctx context.Context) (granted bool, err error) {
	shaken := w.p.d.conns.shakes()
	s, err := w.look(ctx)
	if err != nil {
		return false, err
	}
	w.last = s
	at := w.p.d.s.Clock() // after the reply (T2)
	if s.record.Exists() && (w.first || s.next()) {
		w.saw(s.record.Version, at)
	}
	w.first = false
	if s.granted() {
		return true, nil
	}
	w.p.setAhead(waiter(s.ahead[len(s.ahead)-1]))
	return false, w.watch(ctx, s, shaken)
}

// look is a small one where we were next in line.
func (w *waiting) look(ctx context.Context) (sight, error) {
	if w.last.next() {
		if s, err := w.p.lookBehind(ctx, w.last); err != nil || s.there {
			return s, err
		}
	}
	return w.p.look(ctx)
}

// pause between rounds; the lease is kept meanwhile.
func (w *waiting) pause(ctx context.Context) {
	timer := time.NewTimer(retryPause)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		case <-w.renew.C:
			w.keepAlive(ctx)
		}
	}
}
