package memcached

import (
	"context"
	"fmt"
	"time"
)

// A Clock relates the server's clock, which counts whole seconds from its own start, to the host's.
type Clock struct {
	ahead time.Duration // what must be added to the host's time
}

const (
	clockLook = 20 * time.Millisecond
	clockFine = 100 * time.Millisecond // two looks farther apart than this do not tell when it ticked
	clockTick = 5 * time.Second        // to wait for a tick at most
)

// Clock watches the server's clock until it ticks, which takes about a second; longer where this process gets
// little time.
func (c *Conn) Clock(ctx context.Context) (k Clock, err error) {
	look := time.NewTicker(clockLook)
	defer look.Stop()
	for range 3 {
		var unsure time.Duration
		if k, unsure, err = c.tick(ctx, look.C); err != nil || unsure <= clockFine {
			return k, err
		}
	}
	return k, nil
}

// tick waits for the next tick, and tells how far apart the two looks were between which it came.
func (c *Conn) tick(ctx context.Context, look <-chan time.Time) (k Clock, unsure time.Duration, err error) {
	first, err := c.State()
	if err != nil {
		return k, 0, err
	}
	before, end := time.Now(), time.Now().Add(clockTick)
	for time.Now().Before(end) {
		select {
		case <-look:
		case <-ctx.Done():
			return k, 0, context.Cause(ctx)
		}
		asked := time.Now()
		next, err := c.State()
		if err != nil {
			return k, 0, err
		}
		answered := time.Now()
		if next.Time != first.Time {
			unsure = answered.Sub(before)
			return Clock{time.Unix(next.Time, 0).Sub(before.Add(unsure / 2).Round(0))}, unsure, nil
		}
		before = asked
	}
	return k, 0, c.fail(fmt.Errorf("%w: its clock stands at %d", ErrProtocol, first.Time))
}

// Now is what the server's clock shows at a time of the host.
func (k Clock) Now(t time.Time) int64 { return t.Add(k.ahead).Unix() }

// Host is the host's time, milliseconds since 1970, at which the server's clock shows s.
func (k Clock) Host(s int64) int64 { return s*1000 - k.ahead.Milliseconds() }

// Server is what the server's clock shows nearest to a time of the host in milliseconds.
func (k Clock) Server(ms int64) int64 { return floor(ms+k.ahead.Milliseconds()+500, 1000) }

// Ahead is how many seconds the server's clock is ahead.
func (k Clock) Ahead() int64 { return floor(k.ahead.Milliseconds()+500, 1000) }

func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
