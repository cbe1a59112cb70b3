package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/interlock-run/interlock/warm/memcached"
)

// A stopwatch tells how long a load has gone on.
type stopwatch struct {
	begun time.Time
	shows func() time.Duration // in its place; nil, except in tests
}

func (s *stopwatch) passed() time.Duration {
	if s.shows != nil {
		return s.shows()
	}
	return time.Since(s.begun)
}

// errTurn ends the storing of the coldest first.
var errTurn = errors.New("no time for all")

// turns tells whether a load that stores the coldest first would be cut by its time, and leave out the hottest: half of
// the time is over, and at the speed until now the rest is not enough. It errs on the early side.
func (l *Load) turns() bool {
	passed := l.watch.passed()
	if l.Order != ColdestFirst || l.Limit.Time <= 0 || passed < l.Limit.Time/2 {
		return false
	}
	done, all := l.settled.Load()-l.resumed, l.selected.Load()-l.resumed
	return float64(all-done)*passed.Seconds() > float64(done)*(l.Limit.Time-passed).Seconds()
}

// turn goes on from the other end. What is cut off then is neither hot nor cold; the hottest, which are stored last no
// more, are protected like those of any load that begins with them.
func (l *Load) turn(ctx context.Context, probe *memcached.Conn, pieces []piece) error {
	l.Note(fmt.Sprintf("half of %v is over, and the rest is not enough for all: it goes on from the hottest", l.Limit.Time))
	l.Order = HottestFirst
	slices.Reverse(pieces)
	return l.store(ctx, probe, pieces)
}
