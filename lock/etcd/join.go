package etcd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/interlock-run/interlock/lock"
)

// Join grants a lease and puts a key with it, `<name>/<lease id>`.
func (d *driver) Join(ctx context.Context) (lock.Place, error) {
	value, err := encodeKey(d.s)
	if err != nil {
		return nil, err
	}
	p, err := d.grant(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.put(ctx, value); err != nil {
		if !p.revoke(ctx) {
			d.spawn(p.revokeLater)
		}
		return nil, err
	}
	d.hint.Do(func() { d.spawn(d.inquire) })
	return p, nil
}

// grant asks for a lease of the server timeout. If the reply is lost the lease holds no key and expires.
func (d *driver) grant(ctx context.Context) (*place, error) {
	ttl := int64(math.Ceil(d.s.Timing.ServerTimeout().Seconds()))
	p := &place{d: d, gone: make(chan struct{})}
	err := d.do(ctx, func(ctx context.Context, e *endpoint) error {
		resp, err := e.client.Grant(ctx, ttl)
		if err != nil {
			return err
		}
		p.lease, p.ttl = resp.ID, time.Duration(resp.TTL)*time.Second
		return nil
	})
	p.key = fmt.Sprintf("%s%x", d.prefix(), int64(p.lease))
	return p, err
}

// put makes the key. An answer that did not arrive is looked up by the name of the key, which is this
// lease's alone; it is never sent again (W2).
func (p *place) put(ctx context.Context, value string) error {
	err := p.d.do(ctx, func(ctx context.Context, e *endpoint) error {
		resp, err := e.client.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(p.key), "=", 0)).
			Then(clientv3.OpPut(p.key, value, clientv3.WithLease(p.lease))).Commit()
		if err != nil {
			return err
		}
		if resp.Succeeded {
			p.raw = resp.Header.Revision
		}
		return nil
	})
	switch {
	case p.raw != 0:
		return nil
	case err != nil && !errors.Is(err, lock.ErrUnreachable):
		return err
	}
	return p.adopt(ctx, err)
}

// adopt finds the key of a put whose reply was lost.
func (p *place) adopt(ctx context.Context, cause error) error {
	err := p.d.do(ctx, func(ctx context.Context, e *endpoint) error {
		resp, err := e.client.Get(ctx, p.key)
		if err == nil && len(resp.Kvs) == 1 && resp.Kvs[0].Lease == int64(p.lease) {
			p.raw = resp.Kvs[0].CreateRevision
		}
		return err
	})
	if err == nil && p.raw == 0 {
		return fmt.Errorf("%w: etcd: the lock key %s was not made: %w", lock.ErrUnreachable, p.key, orTaken(cause))
	}
	return err
}

var errTaken = errors.New("a key of that name exists with another lease")

func orTaken(cause error) error {
	if cause == nil {
		return errTaken
	}
	return cause
}

// revokeLater goes on trying until the lease has expired by itself: our own next key would have to wait
// for the one left behind.
func (p *place) revokeLater() {
	ctx, cancel := context.WithTimeout(p.d.ctx, p.ttl)
	defer cancel()
	for ctx.Err() == nil && !p.revoke(ctx) {
		rest(ctx, 4*retryPause)
	}
}

// revoke ends the lease, and with it a key that landed late or is still there. Best effort: what is left
// expires. It is tried even when the caller's time is over, within the bound of one try. It reports
// whether the lease is gone.
func (p *place) revoke(ctx context.Context) bool {
	err := p.d.do(context.WithoutCancel(ctx), func(ctx context.Context, e *endpoint) error {
		_, err := e.client.Revoke(ctx, p.lease)
		return err
	})
	if err == nil || leaseUnknown(err) {
		return true
	}
	p.d.s.Log("could not revoke an etcd lease; it expires by itself", "lease", fmt.Sprintf("%x", int64(p.lease)), "cause", err)
	return false
}
