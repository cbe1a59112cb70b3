package lock

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/clock"
)

// A service is a lock service in memory, for faults at exact moments that no real server can be made to
// produce: a reply that is late, or lost after the write was applied. What a driver must do against real
// servers is locktest's matter.
type service struct {
	mu      sync.Mutex
	record  Stored
	version int64
	queue   []*place
	tokens  int64
	writes  []Record // every record that was ever committed, in order
	// fault, if set, is asked before each write; n counts the writes of that place.
	fault func(p *place, n int) fault
	shared
}

// A fault says what happens to one write.
type fault struct {
	before, after time.Duration // delays before it is applied, and before the reply
	drop          bool          // it is not applied, and no reply comes
	lose          bool          // it is applied, and no reply comes
	refuse        bool          // NOSPACE
}

type place struct {
	s       *service
	token   int64
	granted chan struct{}
	gone    chan struct{}
	writes  int
	alive   int // keep-alives
	reads   int
	failGet int // reads that fail first
	foreign bool
}

func (s *service) Join(context.Context) (Place, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens++
	p := &place{s: s, token: s.tokens, granted: make(chan struct{}), gone: make(chan struct{})}
	s.queue = append(s.queue, p)
	s.grant()
	return p, nil
}

func (s *service) grant() {
	if len(s.queue) > 0 && !closed(s.queue[0].granted) {
		close(s.queue[0].granted)
	}
}

// remove takes a key away, as an expiry or an operator does.
func (s *service) remove(p *place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeLocked(p)
}

func (s *service) removeLocked(p *place) {
	for i, q := range s.queue {
		if q == p {
			s.queue = append(s.queue[:i:i], s.queue[i+1:]...)
			close(p.gone)
		}
	}
	s.grant()
}

func (s *service) View(context.Context) (View, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := View{Record: s.record}
	for _, p := range s.queue {
		v.Queue = append(v.Queue, Waiter{Key: "k", Holder: "someone", Token: fence.Token(p.token), Foreign: p.foreign})
	}
	return v, nil
}
func (s *service) Diagnose(context.Context) []Diagnosis { return nil }
func (s *service) Close() error                         { return nil }

func (p *place) Await(ctx context.Context, saw func(Version, clock.Stamp)) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-p.gone:
		return ErrPlaceLost
	case <-p.granted:
		return nil
	}
}
func (p *place) Ahead() Waiter   { return Waiter{} }
func (p *place) RawToken() int64 { return p.token }
func (p *place) Read(context.Context) (Stored, error) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.reads++; p.reads <= p.failGet {
		return Stored{}, errors.New("read failed")
	}
	return p.s.record, nil
}
func (p *place) KeepAlive(context.Context) error {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.alive++
	return nil
}
func (p *place) Gone() <-chan struct{} { return p.gone }
func (p *place) Pulse()                {}
func (p *place) Leave(context.Context) error {
	p.s.remove(p)
	return nil
}

func (p *place) Write(ctx context.Context, data []byte, after Version) (Result, error) {
	return p.write(ctx, data, after, false)
}
func (p *place) Release(ctx context.Context, data []byte, after Version) (Result, error) {
	return p.write(ctx, data, after, true)
}

func (p *place) write(ctx context.Context, data []byte, after Version, release bool) (Result, error) {
	p.s.mu.Lock()
	p.writes++
	f := fault{}
	if p.s.fault != nil {
		f = p.s.fault(p, p.writes)
	}
	p.s.mu.Unlock()
	if !wait(ctx, f.before) {
		return Result{}, ctx.Err()
	}
	if f.refuse {
		return Result{Outcome: Refused}, errors.New("no space")
	}
	var r Result
	if !f.drop {
		r = p.s.apply(p, data, after, release)
	}
	if f.drop || f.lose {
		<-ctx.Done()
		return Result{}, ctx.Err()
	}
	if !wait(ctx, f.after) {
		return Result{}, ctx.Err()
	}
	return r, nil
}

func (s *service) apply(p *place, data []byte, after Version, release bool) Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case closed(p.gone):
		return Result{Outcome: KeyGone}
	case !s.record.Exists() && after != Version{}:
		return Result{Outcome: Missing}
	case s.record.Version != after:
		return Result{Outcome: Moved, Current: s.record}
	}
	s.version++
	s.record = Stored{Data: data, Version: Version{CAS: s.version, Seen: s.version}}
	var r Record
	if err := decodeAny(data, &r); err == nil {
		s.writes = append(s.writes, r)
	}
	if release {
		s.removeLocked(p)
	}
	return Result{Outcome: Committed, Version: s.record.Version}
}

func wait(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// put leaves a record as an earlier holder would have.
func (s *service) put(t *testing.T, r Record) {
	t.Helper()
	r.V = recordVersion
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s.version++
	s.record = Stored{Data: data, Version: Version{CAS: s.version, Seen: s.version}}
}

// written are the committed records, safely copied.
func (s *service) written() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Record(nil), s.writes...)
}

// A contender is one of ours, with what its owner was told.
type contender struct {
	t      *Tenure
	place  *place
	leases []Lease
	at     []clock.Stamp // of each Lease call
	lost   chan error
	leased chan struct{}
	mu     sync.Mutex
}

// bubbleClock is both clocks inside a synctest bubble.
func bubbleClock() clock.Source {
	zero := time.Now().Add(-time.Hour)
	return func() clock.Stamp { d := time.Since(zero); return clock.Stamp{Boot: d, Raw: d} }
}

func options(now clock.Source) Options {
	return Options{
		Timing: DefaultTiming(), Holder: "h", Node: "n", BootID: "b", Clock: now,
		NeverRan: func(context.Context) bool { return false }, Log: func(string, ...any) {}, Warn: func(string, ...any) {},
	}
}

// contend queues, begins, and pulses until the test ends.
func contend(t *testing.T, s *service, o Options) *contender {
	t.Helper()
	ten, err := Contend(context.Background(), s, o, Forever, func(Waiter) {})
	if err != nil {
		t.Fatal(err)
	}
	c := &contender{t: ten, place: ten.place.(*place), lost: make(chan error, 1), leased: make(chan struct{}, 1000)}
	ten.Begin(Notify{
		Lease: func(l Lease) {
			c.mu.Lock()
			c.leases, c.at = append(c.leases, l), append(c.at, o.Clock())
			c.mu.Unlock()
			c.leased <- struct{}{}
		},
		Lost: func(err error) { c.lost <- err },
		Beat: func(Outcome, time.Duration) {},
	})
	return c
}

// pulse keeps the decision loop turning until stopped.
func (c *contender) pulse() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				c.t.Pulse()
			}
		}
	}()
	return func() { close(done); <-ended }
}

func (c *contender) lease(i int) Lease {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leases[i]
}

func (c *contender) when(i int) clock.Stamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at[i]
}

func (c *contender) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.leases)
}

func (s *service) keepAlives(p *place) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.alive
}

func (s *service) keys() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
}
