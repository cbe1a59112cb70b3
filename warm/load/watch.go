package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/interlock-run/interlock/warm/memcached"
)

const (
	lookEvery = 100 * time.Millisecond
	lookItems = 4000 // or after so many items
	waitItems = 8000 // beyond so many nobody stores until it was looked
)

// gate makes the storing wait for the look at the evictions, so that one that begins costs little.
type gate struct {
	mu    sync.Mutex
	since int64         // items stored since the last look
	due   chan struct{} // asks for a look
	open  chan struct{} // closed by the next look
}

func newGate() *gate { return &gate{due: make(chan struct{}, 1), open: make(chan struct{})} }

// pass lets n items through.
func (g *gate) pass(ctx context.Context, n int) error {
	for {
		g.mu.Lock()
		if g.since >= lookItems {
			select {
			case g.due <- struct{}{}:
			default:
			}
		}
		if g.since < waitItems {
			g.since += int64(n)
			g.mu.Unlock()
			return nil
		}
		open := g.open
		g.mu.Unlock()
		select {
		case <-open:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// looked lets everybody on.
func (g *gate) looked() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.since = 0
	close(g.open)
	g.open = make(chan struct{})
}

// look looks at the server until ctx ends, and gives the reason to stop storing.
func (l *Load) look(ctx context.Context, g *gate) error {
	c, err := l.again(ctx)
	if err != nil {
		return unless(ctx, err)
	}
	beat := time.NewTicker(lookEvery)
	defer beat.Stop()
	defer func() { c.Close() }()
	for {
		select {
		case <-g.due:
		case <-beat.C:
		case <-ctx.Done():
			return nil
		}
		st, err := c.State()
		if errors.Is(err, memcached.ErrLost) && ctx.Err() == nil {
			if next, again := l.again(ctx); again == nil {
				c.Close()
				c = next
				continue
			} else {
				err = again
			}
		}
		if err != nil {
			return unless(ctx, err)
		}
		if err := l.judge(st); err != nil {
			return err
		}
		if l.turns() {
			return errTurn
		}
		g.looked()
	}
}

// unless drops an error that is only the end of ctx.
func unless(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// judge stops at the first eviction, when all was flushed, at a delete where clients are there, and at the end of
// the time.
func (l *Load) judge(st memcached.State) error {
	switch {
	case st.Evictions > l.server.Evictions:
		return l.stop(fmt.Sprintf("the server has begun to evict (%d items)", st.Evictions-l.server.Evictions))
	case st.Flushes > l.server.Flushes:
		return l.stop("the server was emptied (flush_all)")
	case l.InUse && st.Deletes > l.server.Deletes:
		return l.stop("clients delete items")
	case l.Limit.Time > 0 && l.watch.passed() >= l.Limit.Time:
		return l.stop(fmt.Sprintf("limit of %v", l.Limit.Time))
	}
	return nil
}
