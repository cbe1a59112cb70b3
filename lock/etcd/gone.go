package etcd

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// watchOwn closes Gone when the own key goes, from the grant until the place is left or the driver closed.
func (p *place) watchOwn() {
	ctx, cancel := context.WithCancel(p.d.ctx)
	p.mu.Lock()
	p.stop = cancel
	p.mu.Unlock()
	p.d.spawn(func() {
		defer cancel()
		for told := false; ctx.Err() == nil; rest(ctx, retryPause) {
			told = told || p.tell(ctx)
			if p.goneRound(ctx) {
				return
			}
		}
	})
}

// tell puts our own key again as it is, for the one who watches it: it is next in line from now on, and
// would otherwise not learn so before we go. It reports whether that need not be tried again.
func (p *place) tell(ctx context.Context) bool {
	same := clientv3.OpPut(p.key, "", clientv3.WithIgnoreValue(), clientv3.WithIgnoreLease())
	err := p.d.do(ctx, func(ctx context.Context, e *endpoint) error {
		_, err := e.client.Txn(ctx).If(p.mine()).Then(same).Commit()
		return err
	})
	if err != nil && ctx.Err() == nil {
		p.d.s.Log("could not tell the next in line that it is", "cause", err)
	}
	return err == nil || noSpace(err)
}

// goneRound looks at the key and then watches it, until a reason to look again. It reports whether the
// key is gone.
func (p *place) goneRound(ctx context.Context) bool {
	shaken := p.d.conns.shakes()
	s, err := p.own(ctx)
	if err != nil {
		if ctx.Err() == nil {
			p.d.s.Log("cannot look at the own lock key", "cause", err)
		}
		return false
	}
	if s.there {
		w := p.d.follow(ctx, s.client, p.key, s.revision+1, clientv3.WithFilterPut())
		defer w.stop()
		select {
		case _, alive := <-w.events:
			s.there = !alive
		case <-shaken:
		case <-ctx.Done():
		}
	}
	if !s.there {
		p.markGone()
	}
	return !s.there
}

// own asks whether the key is there, without the queue.
func (p *place) own(ctx context.Context) (sight, error) {
	var s sight
	err := p.d.do(ctx, func(ctx context.Context, e *endpoint) error {
		resp, err := e.client.Get(ctx, p.key, clientv3.WithKeysOnly())
		if err == nil {
			there := len(resp.Kvs) == 1 && resp.Kvs[0].CreateRevision == p.raw
			s = sight{client: e.client, revision: resp.Header.Revision, there: there}
		}
		return err
	})
	return s, err
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
