package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/pace"
)

// A Load fills one server: New, then Run. The other methods may be called while it runs.
type Load struct {
	Options
	pace  *pace.Pace
	watch stopwatch
	late  int64 // seconds that this host's clock is behind the end of the latest dump

	settings memcached.Settings
	clock    memcached.Clock
	server   memcached.State // as it was when the pass began
	storing  time.Duration
	resumed  int64

	selected atomic.Int64
	settled  atomic.Int64 // of the selected ones: loaded, or known not to be

	mu       sync.Mutex // of what follows
	counts   Counts
	progress Progress
	stopped  string
}

// New prepares a load.
func New(o Options) *Load {
	if o.Order == "" {
		o.Order = HottestFirst
	}
	if o.Conns <= 0 {
		o.Conns = defaultConns
	}
	o.Sources = slices.Clone(o.Sources)
	for n := range o.Sources {
		s := &o.Sources[n]
		if s.Share <= 0 || s.Share > 1 {
			s.Share = 1
		}
		s.Name = cmp.Or(s.Name, s.Cache.ID)
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	return &Load{Options: o, pace: pace.New(float64(o.Rate))}
}

// errStop ends a pass that has done what it may; the reason is in Load.stopped.
var errStop = errors.New("stopped")

// errRestarted ends a pass because the server lost what was loaded.
var errRestarted = errors.New("the server restarted")

// Run loads. It may be called once. With an error there is a report, too, of what was done before.
func (l *Load) Run(ctx context.Context) (*Report, error) {
	l.watch.begun = time.Now()
	if l.Order != HottestFirst && l.Order != ColdestFirst {
		return &Report{}, fmt.Errorf("order %q: expected %s or %s", l.Order, HottestFirst, ColdestFirst)
	}
	if l.InUse && l.Order == ColdestFirst {
		return &Report{}, fmt.Errorf("order %s: %w: expected %s, or nobody to use it before all is loaded", l.Order, ErrInUse, HottestFirst)
	}
	for _, s := range l.Sources {
		l.late = max(l.late, s.Cache.Ended-l.watch.begun.Unix())
	}
	if l.late > 2 {
		l.Note(fmt.Sprintf("this host's clock is %d s before the end of the dump: lifetimes are taken from there", l.late))
	}
	var err error
	restarts := 0
	for ; ; restarts++ {
		if err = l.pass(ctx); !errors.Is(err, errRestarted) {
			break
		}
		if restarts == maxRestarts {
			err = fmt.Errorf("memcached %s: %w (%d times while it was loaded)", l.Server, ErrRestarts, restarts+1)
			break
		}
		l.Note("the server restarted: it is loaded from the start")
		l.reset()
	}
	return l.report(restarts), err
}

// reset forgets what a server that is gone was given.
func (l *Load) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.From, l.counts, l.stopped = nil, Counts{Interrupted: l.counts.Interrupted}, ""
}

func (l *Load) report(restarts int) *Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &Report{Counts: l.counts, Held: l.held(), Selected: l.selected.Load(), Resumed: l.resumed, Stopped: l.stopped,
		Restarts: restarts, Storing: l.storing, Took: time.Since(l.watch.begun)}
}

func (l *Load) held() (items int64) {
	for _, s := range l.Sources {
		items += s.Cache.Counts.Items
	}
	return items
}

// Fraction is how much of what was selected has been dealt with, 0 to 1.
func (l *Load) Fraction() float64 {
	all := l.selected.Load()
	if all == 0 {
		return 0
	}
	return min(float64(l.settled.Load())/float64(all), 1)
}

// Progress is how far it is, for a later load of the same server.
func (l *Load) Progress() Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.progress
	p.Parts = maps.Clone(p.Parts)
	return p
}

// pass fills the server as it is now.
func (l *Load) pass(ctx context.Context) error {
	probe, err := l.dial(ctx)
	if err != nil {
		return err
	}
	defer probe.Close()
	pieces, err := l.prepare(ctx, probe)
	if errors.Is(err, errStop) { // before anything was sent; the reason is kept
		return nil
	}
	if err != nil {
		return err
	}
	if l.Order == ColdestFirst {
		slices.Reverse(pieces)
	}
	breakpoint.At("warm:selected")
	begun := time.Now()
	err = l.store(ctx, probe, pieces)
	if errors.Is(err, errTurn) {
		err = l.turn(ctx, probe, pieces)
	}
	l.storing = time.Since(begun)
	breakpoint.At("warm:stored")
	if err == nil || errors.Is(err, errStop) {
		err = nil // the reason is kept
		if l.Order == HottestFirst {
			err = l.protect(ctx, pieces)
		}
	}
	return err
}

// dial connects, and waits for a server that is gone for a while.
func (l *Load) dial(ctx context.Context) (*memcached.Conn, error) {
	end := time.Now().Add(patience)
	for {
		c, err := memcached.Dial(ctx, l.Server, memcached.Options{})
		if err == nil || !errors.Is(err, memcached.ErrLost) || time.Now().After(end) {
			return c, err
		}
		t := time.NewTimer(100 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, context.Cause(ctx)
		}
	}
}

// again is dial that finds out whether it is still the same run of the server.
func (l *Load) again(ctx context.Context) (*memcached.Conn, error) {
	c, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	st, err := c.State()
	if err == nil && (!st.Continues(l.server)) {
		err = errRestarted
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// stop says why a pass ends before its end. The first reason stays.
func (l *Load) stop(why string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped == "" {
		l.stopped = why
	}
	return errStop
}
