package load

import (
	"context"

	"github.com/interlock-run/interlock/warm/memcached"
)

// store fills the server with pieces, on several connections, until all is done or there is a reason to stop.
func (l *Load) store(outer context.Context, probe *memcached.Conn, pieces []piece) error {
	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)
	work, done := make(chan *piece), make(chan struct{}, len(pieces))
	g := newGate()
	ended := make(chan struct{}, l.Conns)
	for range l.Conns {
		w := &worker{l: l, gate: g}
		go func() {
			if err := w.run(ctx, outer, work, done); err != nil {
				cancel(err) // the others too
			}
			ended <- struct{}{}
		}()
	}
	watching, quiet := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		if err := l.look(watching, g); err != nil {
			cancel(err)
		}
		close(watched)
	}()
	deal(ctx, pieces, work, done)
	close(work)
	for range l.Conns {
		<-ended
	}
	quiet()
	<-watched
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// What was stored since the last look.
	st, err := probe.State()
	if err != nil {
		return nil // all is stored and answered: what becomes of the server now is no longer ours
	}
	return l.judge(st)
}

// deal hands the pieces out, those of a level together and one level after the other: the server's own order of
// eviction is that in which they are stored.
func deal(ctx context.Context, pieces []piece, work chan<- *piece, done <-chan struct{}) {
	under := 0
	for n := range pieces {
		p := &pieces[n]
		for ; under > 0 && p.level != pieces[n-1].level; under-- {
			select {
			case <-done:
			case <-ctx.Done():
				return
			}
		}
		select {
		case work <- p:
			under++
		case <-ctx.Done():
			return
		}
	}
}
