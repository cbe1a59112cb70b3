package lifecycle

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/worker"
)

// drainage is how far the storage is quiet.
type drainage struct {
	volumes  []*volume
	locked   error // why no lever can be pulled
	device   attachment
	relief   relief
	began    time.Time // of the syncs
	asked    bool      // about the volumes, at least once since
	overdue  string    // one line while the drain takes longer than its budget
	quieting bool      // what came after the proof of death is being killed
	unproven bool      // something was started after the proof
	saved    bool      // backup.on_stop was begun
	done     bool
	dead     bool // the guard's last word was heard: nobody is left who would write
}

// drain runs the post_stop hook and syncs the protected mounts, as workers, heartbeats going on (E3). A
// mount that was lost, or a guard that is gone, cannot be drained: the record will say dead.
func (r *Runner) drain() {
	d := &r.domain.drain
	r.domain.stuck = nil
	d.done, d.began, d.overdue, d.relief.waits = false, time.Time{}, "", false // of a drain before, if the guard was lost in it
	d.relief.over()
	for _, v := range d.volumes {
		v.end.syncing = false // who did it is dead
	}
	if r.domain.gone || r.hold.lost {
		r.takeDown(func() { r.soon(message{event: Done}) })
		return
	}
	r.renewed(r.postStop)
}

// renewed goes on once what starts after the proof of death may start: it lives in a new domain, and the
// empty old one on record must not speak for it.
func (r *Runner) renewed(then func()) {
	r.next(func(ctx context.Context) (func(), message) {
		if r.plan.Lock.Options.ProvenEmpty != nil && r.hold.writes {
			ctx, cancel := context.WithTimeout(ctx, r.plan.Budgets.Drain) // the lock may take no writes
			defer cancel()
			if err := r.hold.tenure.WithdrawDomain(ctx); err != nil {
				return nil, message{event: Failed}
			}
		}
		return then, message{}
	})
}

func (r *Runner) postStop() {
	h := r.plan.Payload.Hooks.PostStop
	switch {
	case (len(h.Exec) == 0 || r.domain.payload.id == 0) && r.domain.drain.unproven:
		r.quiet()
		return
	case len(h.Exec) == 0 || r.domain.payload.id == 0:
		r.sync()
		return
	}
	wait := r.command(h.Exec, h.Timeout)
	r.next(func(ctx context.Context) (func(), message) {
		if err := wait(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("hook failed", "hook", "post_stop", "command", h.Exec[0], "cause", err)
		}
		return r.quiet, message{}
	})
}

// quiet ends what hook and backup left behind, because it could write after the sync; Empty goes on with that.
func (r *Runner) quiet() {
	r.domain.drain.quieting = true
	r.ordered(r.guard.Kill(r.hold.tenant))
}

// empty is the guard's proof that nothing runs.
func (r *Runner) empty() {
	if r.phase == Finishing { // the answer to an order before: the last word is still waited for
		return
	}
	r.domain.askedAt = clock.Stamp{}
	r.domain.stuck = nil
	if r.phase == Draining && r.domain.drain.quieting {
		r.domain.drain.quieting = false
		r.sync()
		return
	}
	r.handle(message{event: Empty})
}

// sync begins the drain itself: a worker for each mount, so that one that hangs hides no other. A plain local
// disk that nobody named has nothing to drain, and a mount that is gone, or was broken to free a process, cannot
// be synced any more.
func (r *Runner) sync() {
	d := &r.domain.drain
	if !r.hold.writes {
		d.done = true
		r.takeDown(r.quieted)
		return
	}
	d.began, d.asked, d.relief.waits = time.Now(), false, false
	d.relief.over()
	for _, v := range d.volumes {
		v.end = volumeEnd{broken: v.end.broken, useless: v.end.useless, hung: v.end.hung, lost: r.isLost(v)}
		if !v.end.lost && !v.end.broken && (v.named || !v.local) {
			r.syncVolume(v)
		}
	}
	r.synced()
}

func (r *Runner) quieted() { r.handle(message{event: Done}) }

func (r *Runner) syncVolume(v *volume) {
	v.end.syncing = true
	wait := r.ask(worker.Request{Op: worker.OpDrain, Paths: []string{v.path}}, math.MaxInt64)
	r.next(func(ctx context.Context) (func(), message) {
		resp, err := wait(ctx)
		if err == nil {
			err = resp.Err()
		}
		return func() {
			v.end.syncing, v.end.synced, v.end.cause = false, err == nil, err
			v.end.lost = v.end.lost || r.isLost(v) // then something else was synced
			if err != nil {
				r.log.Warn("not synced", "volume", v.path, "cause", err)
			}
			r.synced()
		}, message{}
	})
}

// synced goes on when every sync has ended, and the lever that may have ended it has told what became of it.
func (r *Runner) synced() {
	d := &r.domain.drain
	if slices.ContainsFunc(d.volumes, hangs) {
		return
	}
	if d.relief.waits = d.relief.pulling; d.relief.waits {
		return
	}
	r.takeDown(r.inquire)
}
