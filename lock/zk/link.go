package zk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	gozk "github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/internal/clock"
)

// maxPending bounds requests without a reply on one connection. A place has few callers; more than this
// means that they pile up.
const maxPending = 16

// What the library may send and receive at once; nodes and record are far below the server's 1 MiB.
const sendBuffer = 256 << 10

var (
	errBusy     = errors.New("too many requests without a reply")
	errTooLate  = errors.New("no reply in time")
	errLinkGone = errors.New("connection lost")
)

// A link is one Conn of the library over one wire. It ends with the wire and is never reused.
type link struct {
	wire   *wire
	conn   *gozk.Conn
	server string
	born   time.Time // for the pace of reconnects only

	attached clock.Stamp   // before the dial
	granted  time.Duration // the session's timeout, as the server said then

	mu      sync.Mutex
	ended   bool
	pending int
	ops     sync.WaitGroup
	done    chan struct{} // everything that the link started has ended
}

// newLink starts the library on a wire whose session is attached already.
func newLink(w *wire, server string, granted time.Duration, log gozk.Logger) (*link, error) {
	once := &onceProvider{}
	conn, events, err := gozk.Connect([]string{server}, libraryTimeout(granted),
		gozk.WithDialer(func(string, string, time.Duration) (net.Conn, error) { return once.dial(w) }),
		gozk.WithHostProvider(once), gozk.WithLogger(log), gozk.WithLogInfo(false),
		gozk.WithMaxBufferSize(frameMax), gozk.WithMaxConnBufferSize(sendBuffer))
	if err != nil {
		w.cut(err)
		return nil, err
	}
	l := &link{wire: w, conn: conn, server: server, born: time.Now(), granted: granted, done: make(chan struct{})}
	go l.reap(events)
	return l, nil
}

// reap ends the library once the wire is cut, and waits for its goroutines and for our requests.
func (l *link) reap(events <-chan gozk.Event) {
	defer close(l.done)
	<-l.wire.closed
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.conn.Close()
	for range events { // closed when the library's loop has ended
	}
	l.ops.Wait()
}

// closeSession asks the server to end the session, which deletes its ephemeral nodes at once.
func (l *link) closeSession() {
	l.conn.Close()
	l.wire.cut(errClosed)
}

// lost tells a link that is no use any more, before the session has taken it back.
func (l *link) lost() bool {
	select {
	case <-l.wire.closed:
		return true
	default:
		return false
	}
}

func (l *link) enter() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended:
		return errLinkGone
	case l.pending >= maxPending:
		return errBusy
	}
	l.pending++
	l.ops.Add(1)
	return nil
}

func (l *link) leave() {
	l.mu.Lock()
	l.pending--
	l.mu.Unlock()
	l.ops.Done()
}

// call runs one request of the library, which knows no context. A request that is not answered in time
// costs its connection: that ends the request's goroutine, keeps it from being sent later, and takes
// the next try to another server. A reply that comes after that is dropped.
func call[T any](ctx context.Context, l *link, op func(*gozk.Conn) (T, error)) (T, error) {
	type reply struct {
		value T
		err   error
	}
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if err := l.enter(); err != nil {
		return none, err
	}
	got := make(chan reply, 1)
	go func() { // joined by reap
		defer l.leave()
		v, err := op(l.conn)
		got <- reply{v, err}
	}()
	select {
	case r := <-got:
		return r.value, l.because(r.err)
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		l.wire.cut(errTooLate)
		return none, fmt.Errorf("%s: %w: %w", l.server, errTooLate, ctx.Err())
	}
	return none, ctx.Err()
}

// because names the reason for which the library says only that the connection was closed.
func (l *link) because(err error) error {
	if !errors.Is(err, gozk.ErrConnectionClosed) && !errors.Is(err, gozk.ErrClosing) && !errors.Is(err, gozk.ErrNoServer) {
		return err
	}
	if l.lost() {
		return fmt.Errorf("%s: %w: %w", l.server, errLinkGone, l.wire.cause)
	}
	return fmt.Errorf("%s: %w", l.server, errLinkGone)
}

// onceProvider makes the library connect once: the second address that it asks for is announced as a
// new round, in which it waits a second, long enough to be closed.
type onceProvider struct {
	mu           sync.Mutex
	asked, given bool
}

func (*onceProvider) Init([]string) error { return nil }
func (*onceProvider) Len() int            { return 1 }
func (*onceProvider) Connected()          {}

func (o *onceProvider) Next() (string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	again := o.asked
	o.asked = true
	return "the attached server", again
}

func (o *onceProvider) dial(w *wire) (net.Conn, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.given {
		return nil, errLinkGone
	}
	o.given = true
	return w, nil
}
