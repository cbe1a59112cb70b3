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
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/load"
	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/ring"
)

// A Load is a node that is to be filled. Its methods other than Run may be called while that runs.
type Load struct {
	Sources []Source
	At      string // see Choose
	Ring    Ring
	Only    *string      // without a ring: the node whose dumps are taken; nil: that which was dumped last
	Own     bool         // nobody but itself can have filled the server: items are of its own warm restart, and left alone
	Scratch string       // folder for locks and for the progress of a load that does not end; empty: neither
	Options load.Options // Sources, Fresh and From are set here

	mu    sync.Mutex // of what follows
	now   *load.Load
	bytes int64
}

// A Loaded is what became of it.
type Loaded struct {
	load.Counts
	Dumps    []snapshot.ID `json:"dumps"`
	Held     int64         `json:"held"`              // items in them
	Selected int64         `json:"selected"`          // of them, because they fit
	Resumed  int64         `json:"resumed,omitempty"` // of them, by a load before that did not end
	Stopped  string        `json:"stopped,omitempty"`
	Kept     int64         `json:"kept,omitempty"` // items that the server had itself, so that nothing was loaded
	Took     float64       `json:"took_seconds"`
}

// Fraction is how much of all has been dealt with, 0 to 1.
func (l *Load) Fraction() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now == nil {
		return 0
	}
	return l.now.Fraction()
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
	state, err := await(ctx, l.Options.Server, l.Options.Note)
	if err != nil {
		return r, err
	}
	alone, err := l.alone(ctx, patience)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, alone()) }()
	held, err := Choose(ctx, l.Sources, l.At)
	if err != nil {
		return r, err
	}
	if l.Ring.Rule == "" {
		if held = ofNode(held, l.Only); len(held) == 0 {
			return r, fmt.Errorf("%w of node %q", ErrNone, *l.Only)
		}
	}
	all, end, err := open(ctx, held, l.Ring.Rule != "")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, end()) }()
	return l.run(ctx, all, state, began)
}

// alone keeps dumps and other loads of this host away from the server. Where that cannot be, a load goes on without:
// it does no harm to another. A run's own load waits for who is there: a dump of the server that was at this address
// before finds out within seconds that it is gone.
func (l *Load) alone(ctx context.Context, wait time.Duration) (release func() error, err error) {
	release = func() error { return nil }
	held, err := l.lock(ctx)
	if errors.Is(err, dump.ErrRunning) && l.Own {
		l.Options.Note(fmt.Sprintf("%v: waiting for its end, %v at most", err, wait))
		held, err = l.acquire(ctx, wait)
	}
	switch {
	case err == nil:
		return held.Release, nil
	case ctx.Err() != nil, errors.Is(err, dump.ErrRunning) && !l.Own:
		return nil, err
	}
	l.Options.Note(err.Error())
	l.Scratch = ""
	return release, nil
}

// lock takes the lock of the server by its name, and by what it is; of one that is lost just now by its name alone: the
// load waits for it, and goes on where it was.
func (l *Load) lock(ctx context.Context) (*dump.Lock, error) {
	held, err := dump.Acquire(l.Scratch, l.Options.Server)
	if err != nil {
		return nil, err
	}
	c, err := memcached.Dial(ctx, l.Options.Server, memcached.Options{})
	if err == nil {
		err = held.Meet(c)
		c.Close()
	}
	if errors.Is(err, memcached.ErrLost) && ctx.Err() == nil {
		l.Options.Note(err.Error())
		return held, nil
	}
	if err != nil {
		return nil, errors.Join(err, held.Release())
	}
	return held, nil
}

// acquire waits for the lock of the server.
func (l *Load) acquire(ctx context.Context, wait time.Duration) (*dump.Lock, error) {
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(wait); ; {
		held, err := l.lock(ctx)
		if !errors.Is(err, dump.ErrRunning) || time.Now().After(end) {
			return held, err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// ofNode is what there is of one node, or of that which was dumped last: without a ring one is like the other.
func ofNode(held []Held, only *string) []Held {
	if only == nil {
		last := slices.MaxFunc(held, func(a, b Held) int { return a.Snapshot.Time.Compare(b.Snapshot.Time) })
		only = &last.Node
	}
	return slices.DeleteFunc(slices.Clone(held), func(h Held) bool { return h.Node != *only })
}

func (l *Load) run(ctx context.Context, all []*opened, state memcached.State, began time.Time) (r Loaded, err error) {
	if l.kept(all, state) {
		r.Kept = state.Items
		return r, nil
	}
	o := l.Options
	if l.Ring.Rule == "" {
		for _, one := range all {
			o.Sources = append(o.Sources, load.Source{Cache: one.cache, Rank: one.Rank})
		}
	} else if o.Sources, err = l.Ring.shares(all, o.Note); err != nil {
		return r, err
	}
	for _, one := range all {
		r.Dumps = append(r.Dumps, one.Snapshot.ID)
		l.grow(one.Snapshot.Bytes)
	}
	if o.Limit.Time > 0 {
		o.Limit.Time = max(o.Limit.Time-time.Since(began), time.Millisecond)
	}
	o.Fresh = l.Own
	p := progressOf(l.Scratch, o.Server)
	o.From = p.read(o.Note)
	run := load.New(o)
	l.set(run)
	got, err := p.keeping(run.Progress, func() (*load.Report, error) { return run.Run(ctx) })
	r.add(got)
	if err == nil {
		err = r.useless()
	}
	return r, err
}

// Why a load that came to its end has warmed nothing.
var (
	ErrNoRoom  = errors.New("no room in the server")
	ErrNothing = errors.New("no item could be loaded")
)

// useless is that reason, or nil: a service that stays cold is the policy's to judge, however it comes.
func (r *Loaded) useless() error {
	switch {
	case r.Held > 0 && r.Selected == 0:
		return fmt.Errorf("%w: none of %d items", ErrNoRoom, r.Held)
	case r.Stopped != "" || r.Loaded+r.Exists+r.Repeated+r.Resumed > 0 || r.Expired+r.TooLarge+r.Refused == 0:
		return nil
	}
	return fmt.Errorf("%w: of %d items %d had expired, %d were too large for the server, it refused %d, %d belong to other nodes: expected a newer dump",
		ErrNothing, r.Held, r.Expired, r.TooLarge, r.Refused, r.NotOurs)
}

// kept tells whether the server has come back with its own items: better than any dump. What was stored since its
// start is none of them: a load before this one, which was killed, may have stored most of the dump.
func (l *Load) kept(all []*opened, state memcached.State) bool {
	for _, o := range all {
		if l.Own && (l.Ring.Rule == "" || o.Node == l.Ring.Self) && !isCold(&o.Snapshot) && o.cache.Counts.Items > 0 {
			own := state.Items - state.Stores
			return own > 0 && 2*own >= o.cache.Counts.Items
		}
	}
	return false
}

func (l *Load) set(run *load.Load) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = run
}

func (l *Load) grow(bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes += bytes
}

func (r *Loaded) add(one *load.Report) {
	r.Held, r.Selected, r.Resumed, r.Stopped = one.Held, one.Selected, one.Resumed, one.Stopped
	r.Counts = one.Counts
}

// Add is the account of two loads together.
func (r *Loaded) Add(one Loaded) {
	r.Counts.Add(one.Counts)
	r.Dumps = append(r.Dumps, one.Dumps...)
	r.Held, r.Selected, r.Resumed, r.Kept, r.Took = r.Held+one.Held, r.Selected+one.Selected, r.Resumed+one.Resumed, r.Kept+one.Kept, r.Took+one.Took
	if r.Stopped == "" {
		r.Stopped = one.Stopped
	}
}

// patience is for a server that has only just been started, and for a dump that is about to end.
const patience = 30 * time.Second

// await waits until the server answers, and says so when that takes longer than a start.
func await(ctx context.Context, s memcached.Server, note func(string)) (memcached.State, error) {
	began := time.Now()
	end, said := began.Add(patience), false
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
		if !said && time.Since(began) > time.Second {
			note(fmt.Sprintf("waiting for the server, %v at most: %v", patience, err))
			said = true
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
			if s.Weight, err = strconv.ParseFloat(weight, 64); err != nil || !(s.Weight > 0) {
				return nil, fmt.Errorf("%w: %q: expected NAME or NAME=WEIGHT", ring.ErrServers, text)
			}
		}
		list = append(list, s)
	}
	return list, nil
}
