// Package zk is the lock driver for ZooKeeper: zk://h1,h2,h3/path.
//
// Promise: a place is granted only while its own ephemeral node is first in the queue and belongs to the
// session that made it; a write that is reported as committed was committed, by that very try; nothing
// is retried behind the caller's back. Non-promise: neither a session nor an answered read proves that
// the lock is still held (docs/protocol.md section 3): only a committed write does. Called by lock, and
// named by cmd/interlock alone.
//
// github.com/go-zookeeper/zk is used for one thing, to multiplex requests over one established
// connection. Everything that has to do with time is here: each of its Conns lives for exactly one TCP
// connection, the session is attached by our own handshake and pinned, and a request that was given up
// dies with its connection instead of being sent later on the next one.
package zk

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/lock"
)

// recordSuffix makes the state record a sibling of the lock's node, so that it is no contender.
const recordSuffix = ".interlock"

// driver is one lock in one ensemble. Every place has a session of its own, because a place is lost
// exactly when its session is.
type driver struct {
	set    lock.Settings
	name   string // the URL, for messages
	hosts  []host
	path   string
	record string
	ident  identity

	mu     sync.Mutex
	places map[*place]struct{}
	closed bool
	ending sync.WaitGroup // sessions that are being ended
}

// Open checks URL and settings. It does not wait for the service: Join, View and Diagnose do, each for
// no longer than Tries x TryTimeout.
func Open(ctx context.Context, u *url.URL, s lock.Settings) (lock.Driver, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	hosts, err := checkURL(u)
	if err != nil {
		return nil, err
	}
	if s.TLS.Enabled() {
		if _, err := loadTLS(s.TLS, ""); err != nil {
			return nil, err
		}
	}
	ident, err := identify(s)
	if err != nil {
		return nil, err
	}
	if s.Clock == nil {
		s.Clock = clock.Now
	}
	if s.Log == nil {
		s.Log = func(string, ...any) {}
	}
	return &driver{set: s, name: u.Scheme + "://" + u.Host + u.Path, hosts: hosts, path: u.Path,
		record: u.Path + recordSuffix, ident: ident, places: map[*place]struct{}{}}, nil
}

// bound limits what consists of several requests and a connect: Join, View, Diagnose.
func (d *driver) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, time.Duration(max(d.set.Timing.Tries, 1))*d.set.Timing.TryTimeout)
}

// try limits one try (tau), its re-read included.
func (d *driver) try(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d.set.Timing.TryTimeout)
}

// errorf wraps kind with what the lock is called.
func (d *driver) errorf(kind error, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %w", kind, d.name, fmt.Errorf(format, args...))
}

// onSession runs f with a short-lived session of its own.
func (d *driver) onSession(ctx context.Context, f func(context.Context, *session, *link) error) error {
	ctx, cancel := d.bound(ctx)
	defer cancel()
	s := d.newSession(nil)
	defer s.end(errClosed, true)
	l, err := s.link(ctx)
	if err != nil {
		return d.explain(err, "connect")
	}
	return f(ctx, s, l)
}

// Close ends all sessions. One that holds the lock is dropped without a word, so that the service keeps
// the key until the session expires; a contender that was not granted takes its key along.
func (d *driver) Close() error {
	d.mu.Lock()
	d.closed = true
	var open []*place
	for p := range d.places {
		open = append(open, p)
	}
	d.mu.Unlock()
	var all sync.WaitGroup
	for _, p := range open {
		all.Go(func() { p.abandon(errClosed) })
	}
	all.Wait()
	d.ending.Wait()
	return nil
}

// adopt registers a new place; false when the driver was closed meanwhile.
func (d *driver) adopt(p *place) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.places[p] = struct{}{}
	}
	return !d.closed
}

// retire takes a place off the list and runs its end in the background, where Close waits for it.
func (d *driver) retire(p *place, end func()) {
	d.mu.Lock()
	delete(d.places, p)
	closed := d.closed
	if !closed {
		d.ending.Go(end)
	}
	d.mu.Unlock()
	if closed {
		end()
	}
}
