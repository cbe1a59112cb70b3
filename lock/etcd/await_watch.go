package etcd

import (
	"context"
	"errors"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// watch holds the watches of one round, from the revision of its look on, so that nothing between is
// missed. nil means: look again.
func (w *waiting) watch(ctx context.Context, s sight, shaken <-chan struct{}) error {
	d, from := w.p.d, s.revision+1
	// The key ahead is put again when it is granted: then we are next in line (place.tell).
	ahead := d.follow(ctx, s.client, string(s.ahead[len(s.ahead)-1].Key), from)
	defer ahead.stop()
	var record <-chan event
	if s.next() {
		rec := d.follow(ctx, s.client, d.record(), from, clientv3.WithFilterDelete())
		defer rec.stop()
		record = rec.events
	}
	return w.until(ctx, s, ahead.events, record, shaken)
}

// until returns when it is time to look again.
func (w *waiting) until(ctx context.Context, s sight, ahead, record <-chan event, shaken <-chan struct{}) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-shaken:
			return nil
		case _, alive := <-ahead:
			return endedUnless(alive)
		case e, alive := <-record:
			if !alive {
				return errWatchEnded
			}
			w.saw(version(e.revision), e.at)
		case <-w.renew.C:
			if !w.keepAlive(ctx) || w.beats%looksEvery == 0 && (s.next() || !w.p.still(ctx, s)) {
				return nil
			}
		}
	}
}

// errWatchEnded: compacted, cancelled by the server, or refused.
var errWatchEnded = errors.New("a watch ended")

// endedUnless makes the round after a watch that ended by itself wait a little.
func endedUnless(alive bool) error {
	if alive {
		return nil
	}
	return errWatchEnded
}

// keepAlive renews the lease and reports whether that worked.
func (w *waiting) keepAlive(ctx context.Context) bool {
	err := w.p.KeepAlive(ctx)
	w.beats++
	next := w.p.period()
	if err != nil && !leaseUnknown(err) {
		next = min(next, 4*retryPause)
		w.p.d.s.Log("keep-alive failed while waiting for the lock", "cause", err)
	}
	w.renew.Reset(next)
	return err == nil
}
