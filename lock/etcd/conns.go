package etcd

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
)

// conns chooses the server to talk to: always the same one until it fails, then the next that is ready.
type conns struct {
	all    []*endpoint
	bound  time.Duration
	tls    bool
	cancel context.CancelFunc
	flight sync.WaitGroup

	mu      sync.Mutex
	current int
	changed chan struct{} // closed at each change of a connection's state
	shaken  chan struct{} // closed when a call failed: whoever watches through it should look again
}

func newConns(hosts []string, bound time.Duration, creds credentials.TransportCredentials, l *login) (*conns, error) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &conns{bound: bound, tls: creds.Info().SecurityProtocol == "tls", cancel: cancel, changed: make(chan struct{}), shaken: make(chan struct{})}
	for _, h := range hosts {
		e, err := newEndpoint(h, bound, creds, l)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.all = append(c.all, e)
		c.flight.Go(func() { e.follow(ctx, c.change) })
	}
	return c, nil
}

// pick waits for a server that is connected. The next one in the list is tried beside the others when
// those take long, so that one that hangs in its handshake does not cost the whole try.
func (c *conns) pick(ctx context.Context) (*endpoint, error) {
	stagger := time.NewTicker(c.bound / time.Duration(2*len(c.all)))
	defer stagger.Stop()
	for asked := 1; ; {
		changed := c.changes()
		e, refused := c.ready(asked)
		if e != nil {
			return e, nil
		}
		if refused && asked < len(c.all) {
			asked++
			continue
		}
		c.connect(asked)
		select {
		case <-changed:
		case <-stagger.C:
			asked = min(asked+1, len(c.all))
		case <-ctx.Done():
			return nil, c.unreachable(ctx)
		}
	}
}

// ready makes the first ready one of the servers asked so far, from the current one on, the current one.
// Of those not asked one may be ready too, but that was left because it failed. It also reports whether
// all those asked cannot be connected now.
func (c *conns) ready(asked int) (e *endpoint, refused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	refused = true
	for i := range asked {
		n := (c.current + i) % len(c.all)
		if c.all[n].ready() {
			c.current = n
			return c.all[n], false
		}
		refused = refused && c.all[n].refused()
	}
	return nil, refused
}

func (c *conns) connect(asked int) {
	c.mu.Lock()
	first := c.current
	c.mu.Unlock()
	for i := range asked {
		c.all[(first+i)%len(c.all)].conn().Connect()
	}
}

// judge draws the conclusion of a failed call for the choice of the server: Unavailable moves on to the
// next, silence also drops the connection.
func (c *conns) judge(e *endpoint, err error, took time.Duration) {
	switch code(err) {
	case codes.Unavailable, codes.Internal, codes.Unknown:
	case codes.DeadlineExceeded:
		if took < c.bound/4 { // the caller's own short deadline says nothing of the server
			return
		}
		e.link.drop(errSilent)
	default:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all[c.current] == e {
		c.current = (c.current + 1) % len(c.all)
	}
	close(c.shaken)
	c.shaken = make(chan struct{})
}

var errSilent = errors.New("it did not answer in time")

func (c *conns) change() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *conns) changes() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

func (c *conns) shakes() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shaken
}

func (c *conns) close() error {
	c.cancel()
	c.flight.Wait()
	var errs []error
	for _, e := range c.all {
		if err := e.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
