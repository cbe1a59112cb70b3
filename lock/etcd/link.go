package etcd

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// A link is the present connection to one server, and why the last one failed.
type link struct {
	dialer net.Dialer

	mu   sync.Mutex
	conn net.Conn
	dead bool // dropped, though gRPC may not have noticed yet
	err  error
}

func newLink(bound time.Duration) *link {
	return &link{dialer: net.Dialer{Timeout: bound}}
}

// dial resolves the name anew each time, so that a server may change its address.
func (l *link) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := l.dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		l.note(err)
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.dead = conn, false
	return conn, nil
}

// note keeps the reason for a failure; our own closing is none.
func (l *link) note(err error) {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// drop closes the connection, because the server at its other end does not answer: a new one may reach a
// server that lives, and gRPC's own pings need more than 10 s to notice.
func (l *link) drop(why error) {
	l.mu.Lock()
	conn := l.conn
	l.conn, l.err, l.dead = nil, why, true
	l.mu.Unlock()
	if conn != nil {
		// A connection that cannot even be closed is given up all the same.
		_ = conn.Close()
	}
}

// up forgets the last failure.
func (l *link) up() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = nil
}

func (l *link) usable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.dead
}

func (l *link) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
