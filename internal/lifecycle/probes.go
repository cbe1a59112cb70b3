package lifecycle

import (
	"context"

	"github.com/interlock-run/interlock/mountcheck"
)

// probing is our own look at the mounts while the run goes on.
type probing struct {
	mounts *mountcheck.Watcher
	silent bool                            // nothing is heard of it any more
	over   chan struct{}                   // closed when it has ended; nil: nobody told it to
	end    func(*mountcheck.Watcher) error // its Close; tests put another in its place
}

// findings is the watcher's channel; nil, which never speaks, before there is one.
func (p *probing) findings() <-chan mountcheck.Finding {
	if p.mounts == nil || p.silent {
		return nil
	}
	return p.mounts.Findings()
}

// closeMounts tells our own probes to end. That is not waited for here: one that hangs takes its time, and the loop
// decides meanwhile. Run returns only when it is over.
func (r *Runner) closeMounts() {
	p := &r.seen.probing
	if p.mounts == nil || p.over != nil {
		return
	}
	p.silent, p.over = true, make(chan struct{})
	w, over := p.mounts, p.over
	r.steps.Add(1)
	go func() {
		defer r.steps.Done()
		defer close(over)
		r.endWatch(w)
	}()
}

// unprobed goes on in the same phase when our own probes have ended: they write, and pin the mounts.
func (r *Runner) unprobed(then func()) {
	r.closeMounts()
	over := r.seen.over
	if over == nil {
		then()
		return
	}
	select {
	case <-over:
		then()
		return
	default:
	}
	r.next(func(ctx context.Context) (func(), message) {
		select {
		case <-over:
			return then, message{}
		case <-ctx.Done():
			return nil, message{}
		}
	})
}

func (r *Runner) endWatch(w *mountcheck.Watcher) {
	if err := r.seen.end(w); err != nil {
		r.log.Warn("a mount probe could not be ended", "cause", err)
	}
}
