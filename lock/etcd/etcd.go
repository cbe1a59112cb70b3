// Package etcd is the lock driver for etcd, on client/v3 but without its sessions, retries and balancer.
//
// Promise: each write is one request that was sent at most once to one server (W1, W2); the grant, the
// read of the record and every re-read are linearizable; one hung server of several costs at most a
// quarter of the lease. A waiting contender costs the service one watch (the next in line two), a
// keep-alive each third of the lease, and a look at two keys with every fifth of these, however long the queue.
// Non-promise: the lease at the server is for waiting only, never proof of anything (W4); nothing here
// keeps it alive once the lock was granted but Place.KeepAlive. Called by cmd/interlock, through the
// contract of package lock.
package etcd

import (
	"context"
	"net/url"
	"sync"
	"time"

	"github.com/interlock-run/interlock/lock"
)

// driver is one lock on one etcd service.
type driver struct {
	name   string // as in `etcdctl lock NAME`
	s      lock.Settings
	bound  time.Duration // of one try
	conns  *conns
	login  *login
	ctx    context.Context
	cancel context.CancelFunc
	hint   sync.Once

	mu       sync.Mutex
	closed   bool
	findings []lock.Diagnosis
	flight   sync.WaitGroup // watches of own keys
}

// Open prepares the lock at u, etcd://host[:port],host[:port],…/name. It does not wait for a connection:
// a service that cannot be reached shows in the first call. The leading slash is not part of the name.
// It fails with lock.ErrConfig.
func Open(ctx context.Context, u *url.URL, s lock.Settings) (lock.Driver, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	hosts, name, err := parseURL(u)
	if err != nil {
		return nil, err
	}
	if err := checkSettings(s); err != nil {
		return nil, err
	}
	creds, err := transport(s.TLS)
	if err != nil {
		return nil, err
	}
	d := &driver{name: name, s: s, bound: tryBound(s.Timing, len(hosts)), login: newLogin(s.User, s.Password)}
	if d.conns, err = newConns(hosts, d.bound, creds, d.login); err != nil {
		return nil, err
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d, nil
}

// tryBound is the longest that one try may take. With several servers a hung one must not cost a third
// of the lease, however generous the configured timeout.
func tryBound(t lock.Timing, servers int) time.Duration {
	if servers > 1 {
		return min(t.TryTimeout, t.ServerTimeout()/4)
	}
	return t.TryTimeout
}

func (d *driver) prefix() string { return d.name + "/" }
func (d *driver) record() string { return d.name + ".interlock" }

// spawn runs f until it returns; Close waits for it. After Close it runs nothing.
func (d *driver) spawn(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.flight.Go(f)
	}
}

// Close ends all connections. A key that is still there expires with its lease.
func (d *driver) Close() error {
	d.mu.Lock()
	was := d.closed
	d.closed = true
	d.mu.Unlock()
	if was {
		return nil
	}
	d.cancel()
	d.flight.Wait()
	return d.conns.close()
}
