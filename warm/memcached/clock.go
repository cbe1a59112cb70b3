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

// Clock watches the server's clock until it ticks, which takes about a second.
func (c *Conn) Clock(ctx context.Context) (Clock, error) {
	first, err := c.State()
	if err != nil {
		return Clock{}, err
	}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for range 250 { // 5 s, or more on a busy machine
		select {
		case <-look.C:
		case <-ctx.Done():
			return Clock{}, context.Cause(ctx)
		}
		asked := time.Now()
		next, err := c.State()
		if err != nil {
			return Clock{}, err
		}
		if next.Time != first.Time {
			half := time.Since(asked) / 2
			return Clock{time.Unix(next.Time, 0).Sub(asked.Add(half).Round(0))}, nil
		}
	}
	return Clock{}, c.fail(fmt.Errorf("%w: its clock stands at %d", ErrProtocol, first.Time))
}

// Now is what the server's clock shows at a time of the host.
func (k Clock) Now(t time.Time) int64 { return floorSeconds(t.Add(k.ahead)) }

// Host is the host's time, seconds since 1970, at which the server's clock shows s.
func (k Clock) Host(s int64) int64 { return floorSeconds(time.Unix(s, 0).Add(time.Second/2 - k.ahead)) }

// Server is the inverse of Host.
func (k Clock) Server(s int64) int64 {
	return floorSeconds(time.Unix(s, 0).Add(time.Second/2 + k.ahead))
}

// Ahead is how many seconds the server's clock is ahead.
func (k Clock) Ahead() int64 { return floorSeconds(time.Unix(0, 0).Add(time.Second/2 + k.ahead)) }

func floorSeconds(t time.Time) int64 { return t.Unix() } // Unix rounds down, also before 1970
