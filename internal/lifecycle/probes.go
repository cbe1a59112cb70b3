package lifecycle

import (
	"context"

	"github.com/interlock-run/interlock/mountcheck"
)

// probing is our own look at the mounts while the run goes on.
type probing struct {
	mounts *mountcheck.Watcher
	silent bool                            // nothing is heard of it any more
	ending bool                            // it was told to
	over   bool                            // it has
	then   func()                          // what waits for that
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
	if p.mounts == nil || p.ending {
		return
	}
	p.silent, p.ending = true, true
	w := p.mounts
	r.besideAlways(func(context.Context) message {
		if err := r.seen.end(w); err != nil {
			r.log.Warn("a mount probe could not be ended", "cause", err)
		}
		return message{then: func() {
			p.over = true
			if p.then != nil {
				p.then()
			}
		}}
	})
}

// unprobed goes on in the same phase when our own probes have ended: they write, and pin the mounts.
func (r *Runner) unprobed(then func()) {
	r.closeMounts()
	if p := &r.seen.probing; p.ending && !p.over {
		p.then = r.present(then)
		return
	}
	then()
}
