package zk

import (
	"context"
	"errors"
	"fmt"
	"sync"

	gozk "github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/mutate"
	"github.com/interlock-run/interlock/lock"
)

// A place is one key in the queue and the session that made it.
type place struct {
	d       *driver
	s       *session
	me      member
	key     string // full path of me
	twin    string // of its twin; empty without foreign peers
	value   []byte
	token   int64 // czxid
	near    neighbours
	beat    pulse
	gone    chan struct{}
	goneOne sync.Once
	watch   sync.WaitGroup // watchEnd from the join on, watchOwn from the grant on

	mu    sync.Mutex
	state state
}

// state is what changes in a place.
type state struct {
	ahead   lock.Waiter
	granted bool
	over    bool // released, left or abandoned
	deleted bool // the service said that the key is gone
}

// A pulse remembers when the decision loop turned last (W4).
type pulse struct {
	mu   sync.Mutex
	last clock.Stamp
}

func (p *pulse) turn(now clock.Stamp) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = now
}

func (p *pulse) since(now clock.Stamp) clock.Stamp {
	p.mu.Lock()
	defer p.mu.Unlock()
	return clock.Stamp{Boot: now.Boot - p.last.Boot, Raw: now.Raw - p.last.Raw}
}

// overdue is asked before each write to the network, the library's pings included: once the decision
// loop has stood still for the hold nothing may keep the session alive.
func (p *place) overdue() error {
	still := p.beat.since(p.d.set.Clock())
	if still.HolderSince(clock.Stamp{}) < p.d.set.Timing.Hold {
		return nil
	}
	return errNoPulse
}

// Pulse tells that the decision loop turned.
func (p *place) Pulse() { p.beat.turn(p.d.set.Clock()) }

// Gone is closed when the own key is believed to be gone.
func (p *place) Gone() <-chan struct{} { return p.gone }

func (p *place) markGone() { p.goneOne.Do(func() { close(p.gone) }) }

// deleted notes the service's word that the key is gone.
func (p *place) deleted() {
	p.mu.Lock()
	p.state.deleted = true
	p.mu.Unlock()
	p.markGone()
}

func (p *place) isDeleted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.deleted || errors.Is(p.s.why(), errExpired)
}

// RawToken is the own key's czxid.
func (p *place) RawToken() int64 { return p.token }

// Ahead describes the key just ahead.
func (p *place) Ahead() lock.Waiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.ahead
}

func (p *place) setAhead(w lock.Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.ahead = w
}

// KeepAlive asks for the own key, which shows an expired session and a deleted key alike.
func (p *place) KeepAlive(ctx context.Context) error {
	ctx, cancel := p.d.try(ctx)
	defer cancel()
	l, err := p.s.link(ctx)
	if err != nil {
		return p.d.explain(err, "keep alive")
	}
	stat, err := exists(ctx, l, p.key)
	if err != nil {
		return p.d.explain(err, "keep alive")
	}
	return p.check(stat)
}

// check judges the own key: there, and of the pinned session.
func (p *place) check(stat *gozk.Stat) error {
	switch id := p.s.known().id; {
	case stat == nil:
		p.deleted()
		return p.d.errorf(lock.ErrPlaceLost, "key %s was deleted from outside", p.me.name)
	case stat.EphemeralOwner != id && !mutate.Broken("no-session-check"): // the key must be of our session
		p.markGone()
		return p.d.errorf(lock.ErrPlaceLost, "key %s belongs to session %#x, expected ours, %#x", p.me.name, stat.EphemeralOwner, id)
	}
	return nil
}

// lost says why the place is gone.
func (p *place) lost() error {
	if cause := p.s.why(); cause != nil {
		return p.d.explain(cause, "wait for the lock")
	}
	return p.check(nil)
}

// watchEnd closes Gone when the session ends.
func (p *place) watchEnd() {
	<-p.s.ended
	p.markGone()
}

// exists returns nil without an error only if the server says that there is no such node.
func exists(ctx context.Context, l *link, path string) (*gozk.Stat, error) {
	return call(ctx, l, func(c *gozk.Conn) (*gozk.Stat, error) {
		there, stat, err := c.Exists(path)
		if err != nil || !there {
			return nil, err
		}
		return stat, nil
	})
}

// Leave deletes the own key, and with it ends the session.
func (p *place) Leave(ctx context.Context) error {
	ctx, cancel := p.d.try(ctx)
	defer cancel()
	if !p.isDeleted() {
		err := p.remove(ctx)
		if err != nil && !p.isDeleted() { // it may have gone meanwhile
			return p.d.explain(err, fmt.Sprintf("delete our key %s", p.me.name))
		}
	}
	p.deleted()
	p.over(true)
	return nil
}

func (p *place) remove(ctx context.Context) error {
	l, err := p.s.link(ctx)
	if err != nil {
		return err
	}
	for _, node := range p.nodes() {
		_, err := call(ctx, l, func(c *gozk.Conn) (struct{}, error) { return struct{}{}, c.Delete(node, -1) })
		if err != nil && !errors.Is(err, gozk.ErrNoNode) {
			return err
		}
	}
	return nil
}

// nodes are those that make the place.
func (p *place) nodes() []string {
	if p.twin == "" {
		return []string{p.key}
	}
	return []string{p.key, p.twin}
}

// over ends a place whose key is gone. The rest happens in the background, bounded, and Close waits.
func (p *place) over(goodbye bool) {
	p.mu.Lock()
	again := p.state.over
	p.state.over = true
	p.mu.Unlock()
	if again {
		return
	}
	p.d.retire(p, func() { p.end(errClosed, goodbye) })
}

// abandon ends a place that may still be held: then without a word to the server.
func (p *place) abandon(cause error) {
	p.mu.Lock()
	goodbye := !p.state.granted
	p.state.over = true
	p.mu.Unlock()
	p.end(cause, goodbye)
}

func (p *place) end(cause error, goodbye bool) {
	p.s.end(cause, goodbye)
	p.watch.Wait()
}
