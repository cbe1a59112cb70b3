package load

import (
	"context"
	"strconv"
	"time"

	"github.com/interlock-run/interlock/warm/memcached"
)

// Chunks is the table of sizes that is computed for a server.
func Chunks(ctx context.Context, s memcached.Server) (sizes []string) {
	c, err := memcached.Dial(ctx, s, memcached.Options{})
	if err != nil {
		return []string{err.Error()}
	}
	defer c.Close()
	set, err := c.Settings()
	if err != nil {
		return []string{err.Error()}
	}
	for _, n := range newSlabs(set).chunks {
		sizes = append(sizes, strconv.FormatInt(n, 10))
	}
	return sizes
}

// Timed is a load by whose watch so much time has passed as its progress tells.
func Timed(o Options, passed func(fraction float64) time.Duration) *Load {
	l := New(o)
	l.watch.shows = func() time.Duration { return passed(l.Fraction()) }
	return l
}
