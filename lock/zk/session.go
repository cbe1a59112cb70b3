package zk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	gozk "github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/lock"
)

// Why a session ended. Only errExpired is the service's word.
var (
	errExpired = errors.New("session expired at the server")
	errClosed  = errors.New("closed by us")
	errNoPulse = errors.New("the decision loop stood still for the hold, the session is left to expire")
	errStale   = errors.New("the servers refused the session for twice its timeout: was the service rebuilt or restored")
	errRefused = errors.New("refused by the server")
	errRenewed = errors.New("closed by us, to attach the session anew")
)

// A session is one ZooKeeper session, pinned: when it has ended nothing else comes in its place. It
// keeps itself connected to one server after the other; the links it hands out are each one connection.
type session struct {
	d     *driver
	pulse func() error // W4; nil where nothing is held
	stop  context.CancelFunc
	ended chan struct{} // closed with cause
	zxid  atomic.Int64  // the last change seen: no server may show us an older state

	mu      sync.Mutex
	hello   hello
	cur     *link
	cause   error
	trouble error         // the last failed attempts to connect
	turn    chan struct{} // closed and replaced when cur or trouble changes

	// all is the loop, and links on their way out: the library takes up to a second for that, and nobody
	// waits for it but the end.
	all sync.WaitGroup
}

func (d *driver) newSession(pulse func() error) *session {
	ctx, stop := context.WithCancel(context.Background())
	if pulse == nil {
		pulse = func() error { return nil }
	}
	s := &session{d: d, pulse: pulse, stop: stop, ended: make(chan struct{}),
		turn: make(chan struct{})}
	s.all.Go(func() { s.run(ctx) })
	return s
}

// run connects until the session ends.
func (s *session) run(ctx context.Context) {
	r := &round{s: s, ring: ring{hosts: s.d.hosts}, since: time.Now()}
	for s.alive(ctx) {
		l, last, err := r.connect(ctx)
		if err != nil {
			r.failed(ctx, err, last)
			continue
		}
		s.publish(l)
		select {
		case <-l.wire.closed:
		case <-ctx.Done():
			l.wire.cut(errClosed)
		}
		s.withdraw(l)
		r.lost(ctx, l)
	}
}

// alive checks the reasons for which a session must not connect again.
func (s *session) alive(ctx context.Context) bool {
	if err := s.pulse(); err != nil {
		s.finish(err)
	}
	select {
	case <-s.ended:
		return false
	default:
		return ctx.Err() == nil
	}
}

func (s *session) publish(l *link) {
	s.mu.Lock()
	s.cur, s.trouble = l, nil
	s.notify()
	s.mu.Unlock()
	s.d.set.Log("zk connected", "server", l.server, "session", fmt.Sprintf("%#x", s.hello.id), "granted", s.hello.granted)
}

func (s *session) withdraw(l *link) {
	s.mu.Lock()
	s.cur = nil
	s.trouble = passing{fmt.Errorf("%s: %w", l.server, l.wire.cause)}
	s.notify()
	s.mu.Unlock()
	s.all.Go(func() { <-l.done })
	s.d.set.Log("zk connection lost", "server", l.server, "cause", l.wire.cause)
}

// notify wakes everybody in link; s.mu is held.
func (s *session) notify() {
	close(s.turn)
	s.turn = make(chan struct{})
}

// link waits for a connection. It fails with the reason for which the session ended, with a definite
// refusal by all servers, or with ctx and the last trouble.
func (s *session) link(ctx context.Context) (*link, error) {
	for {
		s.mu.Lock()
		l, turn, trouble, cause := s.cur, s.turn, s.trouble, s.cause
		s.mu.Unlock()
		switch {
		case cause != nil:
			return nil, cause
		case l != nil && !l.lost():
			return l, nil
		case errors.Is(trouble, lock.ErrConfig) || errors.Is(trouble, lock.ErrCredentials):
			return nil, trouble
		}
		select {
		case <-turn:
		case <-s.ended:
		case <-ctx.Done():
			if trouble == nil {
				trouble = errors.New("no server answered yet")
			}
			return nil, fmt.Errorf("%w: %w", trouble, ctx.Err())
		}
	}
}

// renewed is a connection to which the session was attached lately: the present one, or a new one.
func (s *session) renewed(ctx context.Context, lately time.Duration) (*link, error) {
	l, err := s.link(ctx)
	if err != nil || s.d.set.Clock().HolderSince(l.attached) < lately {
		return l, err
	}
	l.wire.cut(errRenewed)
	return s.link(ctx)
}

// finish ends the session without a word to the server; only the first cause is kept. It may be called
// from anywhere and waits for nothing.
func (s *session) finish(cause error) {
	s.conclude(cause)
	s.stop()
}

// conclude sets the cause, from which on nothing connects any more.
func (s *session) conclude(cause error) *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == nil {
		s.cause = cause
		close(s.ended)
		s.notify()
	}
	return s.cur
}

// end ends the session and waits until nothing of it is left. With goodbye the server is told, which
// deletes the session's nodes at once; else they stay until it expires.
func (s *session) end(cause error, goodbye bool) {
	if l := s.conclude(cause); goodbye && l != nil {
		l.closeSession()
	}
	s.stop()
	s.all.Wait()
}

// known returns the pinned session, zero before the first connection.
func (s *session) known() hello {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hello
}

// why returns the reason for which the session ended, or nil.
func (s *session) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// saw records a reply's zxid.
func (s *session) saw(zxid int64) {
	for {
		old := s.zxid.Load()
		if zxid <= old || s.zxid.CompareAndSwap(old, zxid) {
			return
		}
	}
}

// Printf is the library's logger.
func (s *session) Printf(format string, args ...any) {
	s.d.set.Log("zk library", "says", fmt.Sprintf(format, args...))
}

var _ gozk.Logger = (*session)(nil)
