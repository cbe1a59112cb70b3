package job

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/warm/load"
	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/ring"
	"github.com/interlock-run/interlock/warm/stored"
)

// A Load is a node that is to be filled. Its methods other than Run may be called while that runs.
type Load struct {
	Sources []Source
	At      string // see Choose
	Ring    Ring
	Own     bool         // nobody but itself can have filled the server: items are of its own warm restart, and left alone
	Options load.Options // Cache, Keys, Share and From are set here; Limit is for all dumps together

	mu    sync.Mutex // of what follows
	now   *load.Load
	done  int
	count int
	bytes int64
}

// A Loaded is what became of it.
type Loaded struct {
	load.Counts
	Dumps    []snapshot.ID `json:"dumps"`
	Held     int64         `json:"held"`     // items in them
	Selected int64         `json:"selected"` // of them, because they fit
	Stopped  string        `json:"stopped,omitempty"`
	Kept     int64         `json:"kept,omitempty"` // items that the server had itself, so that nothing was loaded
	Took     float64       `json:"took_seconds"`
}

// Fraction is how much of all has been dealt with, 0 to 1.
func (l *Load) Fraction() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == 0 {
		return 0
	}
	part := 0.0
	if l.now != nil {
		part = l.now.Fraction()
	}
	return (float64(l.done) + part) / float64(l.count)
}

// Bytes is how much the chosen dumps hold; 0 while it is not known.
func (l *Load) Bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes
}

// Run loads. With an error there is an account, too, of what was done before.
func (l *Load) Run(ctx context.Context) (r Loaded, err error) {
	began := time.Now()
	defer func() { r.Took = time.Since(began).Seconds() }()
	if l.Options.Note == nil {
		l.Options.Note = func(string) {}
	}
	state, err := await(ctx, l.Options.Server)
	if err != nil {
		return r, err
	}
	held, err := Choose(ctx, l.Sources, l.At)
	if err != nil {
		return r, err
	}
	held, ours, err := l.shares(ctx, held)
	if err != nil {
		return r, err
	}
	l.mu.Lock()
	l.count = len(held)
	for _, h := range held {
		l.bytes += h.Snapshot.Bytes
	}
	l.mu.Unlock()
	for _, h := range held {
		if err := l.one(ctx, h, ours, state, began, &r); err != nil {
			return r, fmt.Errorf("dump %s: %w", h.Snapshot.ID, err)
		}
		if r.Stopped != "" || r.Kept > 0 {
			break
		}
	}
	if r.Held > 0 && r.Selected == 0 && r.Kept == 0 {
		return r, fmt.Errorf("%w: none of %d items", ErrNoRoom, r.Held)
	}
	return r, nil
}

// ErrNoRoom is that nothing fits into the server.
var ErrNoRoom = errors.New("no room in the server")

// shares puts our own dump first, because what it holds is surely ours, and tells what of the others is. Without
// a ring there is one dump, the newest.
func (l *Load) shares(ctx context.Context, held []Held) ([]Held, func(Held) func([]byte) bool, error) {
	if l.Ring.Rule == "" {
		last := slices.MaxFunc(held, func(a, b Held) int { return a.Snapshot.Time.Compare(b.Snapshot.Time) })
		return []Held{last}, nil, nil
	}
	ours, err := l.Ring.share(ctx, held, l.Options.Note)
	if err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(held, func(a, b Held) int {
		switch {
		case a.Node == b.Node:
			return 0
		case a.Node == l.Ring.Self:
			return -1
		case b.Node == l.Ring.Self:
			return 1
		}
		return 0
	})
	return held, ours, nil
}

// one loads what is ours of one dump.
func (l *Load) one(ctx context.Context, h Held, ours func(Held) func([]byte) bool, state memcached.State, began time.Time, r *Loaded) (err error) {
	c, err := stored.Open(ctx, h.Repository, h.Snapshot)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	r.Dumps, r.Held = append(r.Dumps, h.Snapshot.ID), r.Held+c.Counts.Items
	if l.Own && ours == nil && c.Counts.Items > 0 && state.Items >= c.Counts.Items/2 {
		r.Kept = state.Items // better than any dump
		return nil
	}
	o := l.Options
	o.Cache = c
	o.Limit.Bytes, o.Limit.Items = l.part(o.Limit.Bytes), l.part(o.Limit.Items)
	if o.Limit.Time > 0 {
		o.Limit.Time = max(o.Limit.Time-time.Since(began), time.Millisecond)
	}
	if ours != nil {
		o.Keys = ours(h)
		if h.Node != l.Ring.Self {
			o.Share = 1 / float64(len(l.Ring.Nodes))
		}
	}
	run := load.New(o)
	l.set(run)
	got, err := run.Run(ctx)
	r.add(got)
	if err == nil {
		l.next()
	}
	return err
}

func (l *Load) part(limit int64) int64 {
	if limit <= 0 {
		return limit
	}
	return max(limit/int64(max(l.count, 1)), 1)
}

func (l *Load) set(run *load.Load) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = run
}

func (l *Load) next() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now, l.done = nil, l.done+1
}

func (r *Loaded) add(one *load.Report) {
	r.Selected += one.Selected
	r.Stopped = one.Stopped
	for _, p := range []struct{ to, from *int64 }{{&r.Loaded, &one.Loaded}, {&r.Exists, &one.Exists}, {&r.Expired, &one.Expired},
		{&r.NotOurs, &one.NotOurs}, {&r.TooLarge, &one.TooLarge}, {&r.OutOfMemory, &one.OutOfMemory}, {&r.Refused, &one.Refused},
		{&r.Repeated, &one.Repeated}, {&r.Interrupted, &one.Interrupted}, {&r.Protected, &one.Protected}} {
		*p.to += *p.from
	}
}

// patience is for a server that has only just been started.
const patience = 30 * time.Second

// await waits until the server answers.
func await(ctx context.Context, s memcached.Server) (memcached.State, error) {
	end := time.Now().Add(patience)
	for {
		c, err := memcached.Dial(ctx, s, memcached.Options{})
		if err == nil {
			st, err := c.State()
			c.Close()
			return st, err
		}
		if !errors.Is(err, memcached.ErrLost) || time.Now().After(end) {
			return memcached.State{}, err
		}
		t := time.NewTimer(50 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return memcached.State{}, context.Cause(ctx)
		}
	}
}

// ParseNodes reads a list of nodes: NAME or NAME=WEIGHT each.
func ParseNodes(texts []string) (list []ring.Server, err error) {
	for _, text := range texts {
		name, weight, weighted := strings.Cut(text, "=")
		s := ring.Server{Name: name}
		if weighted {
			if s.Weight, err = strconv.Atoi(weight); err != nil || s.Weight < 1 {
				return nil, fmt.Errorf("%w: %q: expected NAME or NAME=WEIGHT", ring.ErrServers, text)
			}
		}
		list = append(list, s)
	}
	return list, nil
}
