package etcd

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/interlock-run/interlock/internal/clock"
)

// A watch delivers the events of one key until it is stopped, or ends by itself: compacted, cancelled by
// the server, refused. Whoever reads it then looks again; the cause would show there.
type watch struct {
	events chan event
	cancel context.CancelFunc
}

// An event is one change, stamped after it arrived (T2).
type event struct {
	revision int64
	at       clock.Stamp
}

// follow watches key from a revision on. The watch goes through one server; a change of the server shows
// in conns.shakes, because a watch through one that hangs is silent.
func (d *driver) follow(ctx context.Context, c *clientv3.Client, key string, from int64, what ...clientv3.OpOption) *watch {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	w := &watch{events: make(chan event), cancel: cancel}
	go func() {
		defer close(w.events) // joined by stop
		for resp := range c.Watch(ctx, key, append(what, clientv3.WithRev(from))...) {
			if !w.pass(ctx, resp, d.s.Clock()) {
				return
			}
		}
	}()
	return w
}

func (w *watch) pass(ctx context.Context, resp clientv3.WatchResponse, at clock.Stamp) bool {
	for _, e := range resp.Events {
		select {
		case w.events <- event{e.Kv.ModRevision, at}:
		case <-ctx.Done():
			return false
		}
	}
	return resp.Err() == nil
}

// stop ends the watch and waits for its goroutine.
func (w *watch) stop() {
	w.cancel()
	for range w.events {
	}
}
