package zk

import (
	"context"
	"errors"
	"fmt"
	"time"

	gozk "github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/internal/mutate"
	"github.com/interlock-run/interlock/lock"
)

// A round is how a session finds a server: each address once, then a pause.
type round struct {
	s     *session
	ring  ring
	errs  []error
	since time.Time // last moment with a connection
}

// connect tries one address, and attaches the session there.
func (r *round) connect(ctx context.Context) (*link, bool, error) {
	bound := r.patience()
	t, last := r.ring.next(ctx, bound/2)
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	l, err := r.open(ctx, t, bound)
	if err != nil {
		err = fmt.Errorf("%s: %w", t.host, err)
	}
	return l, last, err
}

// patience bounds one attempt, by the same third of the session as a hung connection.
func (r *round) patience() time.Duration {
	granted := r.s.known().granted
	if granted == 0 {
		granted = r.s.d.set.Timing.ServerTimeout()
	}
	return min(patience(granted), r.s.d.set.Timing.TryTimeout)
}

func (r *round) open(ctx context.Context, t target, bound time.Duration) (*link, error) {
	s := r.s
	began := s.d.set.Clock()
	conn, err := dial(ctx, t, s.d.set.TLS)
	if err != nil {
		return nil, err
	}
	// A cut for another reason than time must not wait for the server either.
	release := context.AfterFunc(ctx, func() { hangUp(conn) })
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		hangUp(conn)
		return nil, err
	}
	h, err := attach(conn, s.known(), s.d.set.Timing.ServerTimeout(), s.zxid.Load())
	if !release() || err != nil {
		hangUp(conn)
		return nil, r.refused(ctx, err, bound)
	}
	l, err := r.start(ctx, newWire(conn, h, s.pulse, s.saw), h, t.addr)
	if err == nil {
		l.attached = began
	}
	return l, err
}

func (r *round) refused(ctx context.Context, err error, bound time.Duration) error {
	if ctx.Err() != nil && !errors.Is(err, errExpired) {
		err = fmt.Errorf("%w", context.DeadlineExceeded)
	}
	return helloError(err, r.s.d.set.TLS.Enabled(), bound)
}

// start pins the session, clears the handshake's deadline and presents the credentials, before anybody
// else can use the link.
func (r *round) start(ctx context.Context, w *wire, h hello, server string) (*link, error) {
	if err := w.Conn.SetDeadline(time.Time{}); err != nil {
		w.cut(err)
		return nil, err
	}
	r.s.mu.Lock()
	r.s.hello = h
	r.s.mu.Unlock()
	l, err := newLink(w, server, h.granted, r.s)
	if err != nil || !r.s.d.ident.digest() {
		return l, err
	}
	_, err = call(ctx, l, func(c *gozk.Conn) (struct{}, error) {
		return struct{}{}, c.AddAuth("digest", r.s.d.ident.secret())
	})
	if err == nil {
		return l, nil
	}
	if errors.Is(err, gozk.ErrAuthFailed) {
		err = fmt.Errorf("%w: the server refused user %q: check --lock-user and --lock-password-file", lock.ErrCredentials, r.s.d.ident.user)
	}
	w.cut(err)
	r.s.all.Go(func() { <-l.done })
	return nil, err
}

// failed takes note of an attempt that failed and, after the last address of a round, pauses.
func (r *round) failed(ctx context.Context, err error, last bool) {
	if errors.Is(err, errExpired) && mutate.Broken("no-session-check") { // a session is pinned: no other in its place
		r.s.mu.Lock()
		r.s.hello = hello{}
		r.s.mu.Unlock()
		return
	}
	if errors.Is(err, errExpired) {
		r.s.finish(errExpired)
		return
	}
	r.s.d.set.Log("zk connect failed", "error", err)
	r.errs = append(r.errs, err)
	if !last {
		return
	}
	r.report(trouble(r.errs))
	r.errs = nil
	r.pause(ctx)
}

// trouble joins what a whole round came to. It is definite, so that no waiting helps, only if every
// server gave a definite answer.
func trouble(errs []error) error {
	for _, err := range errs {
		if !errors.Is(err, lock.ErrCredentials) && !errors.Is(err, lock.ErrConfig) {
			return passing(errs)
		}
	}
	return several(errs)
}

// report publishes the trouble of a round. Once a session had a connection no server's answer is
// definite any more: certificates and rights may come back while the session still lives.
func (r *round) report(err error) {
	s := r.s
	h := s.known()
	if h.id != 0 {
		err = passing{err}
	}
	s.mu.Lock()
	s.trouble = err
	s.notify()
	s.mu.Unlock()
	if h.id != 0 && errors.Is(err, errRefused) && time.Since(r.since) > 2*h.granted {
		s.finish(errStale)
	}
}

// lost begins anew after a connection ended.
func (r *round) lost(ctx context.Context, l *link) {
	r.since = time.Now()
	if errors.Is(l.wire.cause, errRenewed) {
		r.ring.again()
		return
	}
	r.ring.restart()
	if time.Since(l.born) < r.pace() {
		r.pause(ctx)
	}
}

// pace keeps reconnects from becoming a storm, in proportion to what the session can bear.
func (r *round) pace() time.Duration {
	return min(time.Second, r.s.d.set.Timing.ServerTimeout()/20)
}

func (r *round) pause(ctx context.Context) {
	t := time.NewTimer(r.pace())
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
