// Package crew is goroutines that work on one thing, of which the first error ends all.
//
// Promise: Join returns after the last of them, with the first error; Send and Receive wait no longer than
// that. Non-promise: it bounds neither their number nor their time. Called by internal/snapshot and
// restore/pull for their pipelines.
package crew

import (
	"context"
	"sync"
)

// A Crew is such goroutines.
type Crew struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wait   sync.WaitGroup
}

// New makes one without members. Join must be called.
func New(ctx context.Context) *Crew {
	c := &Crew{}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	return c
}

// Context ends with the first error, which is its cause.
func (c *Crew) Context() context.Context { return c.ctx }

// Run starts one more.
func (c *Crew) Run(f func() error) {
	c.wait.Go(func() {
		if err := f(); err != nil {
			c.cancel(err)
		}
	})
}

// Join waits for all and gives the first error.
func (c *Crew) Join() error {
	c.wait.Wait()
	err := context.Cause(c.ctx)
	c.cancel(nil)
	return err
}

// Send gives v to a channel, unless ctx ends first.
func Send[T any](ctx context.Context, to chan<- T, v T) error {
	select {
	case to <- v:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Receive takes from a channel, unless ctx ends first; false once it is closed.
func Receive[T any](ctx context.Context, from <-chan T) (v T, open bool, err error) {
	select {
	case v, open = <-from:
		return v, open, nil
	case <-ctx.Done():
		return v, false, context.Cause(ctx)
	}
}
