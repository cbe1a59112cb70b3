package lifecycle

import (
	"context"
	"time"
)

// beside runs a step's waiting part; what it returns is posted as the step's report, and heard only while
// the step is the present one.
func (r *Runner) beside(work func(ctx context.Context) message) {
	number := r.step.number
	r.besideAlways(func(ctx context.Context) message {
		m := work(ctx)
		m.step = number
		return m
	})
}

// soon is a step that has nothing to wait for: its report comes in the loop's next turn.
func (r *Runner) soon(m message) { r.beside(func(context.Context) message { return m }) }

// besideAlways is beside with a report that is heard in any phase, and after the last.
func (r *Runner) besideAlways(work func(ctx context.Context) message) {
	ctx := r.step.ctx
	r.steps++
	go func() { // joined by its report
		m := work(ctx)
		m.last = true
		r.post(m)
	}()
}

// present is what follows only while the step is the same as now.
func (r *Runner) present(then func()) func() {
	number := r.step.number
	return func() {
		if r.step.number == number {
			then()
		}
	}
}

// post hands a report to the loop. The inbox is larger than what can be outstanding; should it be full
// all the same, the sender waits for the loop, which never waits for a sender.
func (r *Runner) post(m message) { r.inbox <- m }

// after posts TimeUp for the present phase.
func (r *Runner) after(d time.Duration) {
	r.beside(func(ctx context.Context) message {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		return message{event: TimeUp}
	})
}

// next runs a waiting part beside the loop and its continuation in the loop.
func (r *Runner) next(work func(ctx context.Context) (func(), message)) {
	r.beside(func(ctx context.Context) message {
		then, m := work(ctx)
		if then == nil {
			return m
		}
		return message{then: then}
	})
}

// later goes on in the same phase, after a while.
func (r *Runner) later(wait time.Duration, then func()) {
	r.next(func(ctx context.Context) (func(), message) {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return nil, message{}
		case <-t.C:
		}
		return then, message{}
	})
}
