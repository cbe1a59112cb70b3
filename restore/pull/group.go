package pull

import (
	"context"
	"sync"
)

// A group is goroutines of which the first error ends all.
type group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wait   sync.WaitGroup
}

func newGroup(ctx context.Context) *group {
	g := &group{}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

func (g *group) run(f func() error) {
	g.wait.Go(func() {
		if err := f(); err != nil {
			g.cancel(err)
		}
	})
}

// join waits for all and gives the first error.
func (g *group) join() error {
	g.wait.Wait()
	err := context.Cause(g.ctx)
	g.cancel(nil)
	return err
}

// send gives v to a channel, unless the group ends first.
func send[T any](ctx context.Context, to chan<- T, v T) error {
	select {
	case to <- v:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// receive takes from a channel; false once it is closed.
func receive[T any](ctx context.Context, from <-chan T) (v T, open bool, err error) {
	select {
	case v, open = <-from:
		return v, open, nil
	case <-ctx.Done():
		return v, false, context.Cause(ctx)
	}
}
