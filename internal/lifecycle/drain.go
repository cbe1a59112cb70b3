package lifecycle

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/worker"
	"github.com/interlock-run/interlock/mountcheck"
)

// drainage is how far the storage is quiet.
type drainage struct {
	bases    map[string]mountcheck.Mount // the mounts that the payload runs on, by path
	overdue  string                      // one line while the drain takes longer than its budget
	quieting bool                        // what came after the proof of death is being killed
	unproven bool                        // something was started after the proof
	saved    bool                        // backup.on_stop was begun
	device   attachment
	done     bool
}

// drain runs the post_stop hook and syncs the protected mounts, as workers, heartbeats going on (E3). A
// mount that was lost, or a guard that is gone, cannot be drained: the record will say dead.
func (r *Runner) drain() {
	r.domain.drain.done = false
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
	h := r.plan.Hooks.PostStop
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
	r.domain.askedAt = clock.Stamp{}
	r.domain.stuck = nil
	if r.phase == Draining && r.domain.drain.quieting {
		r.domain.drain.quieting = false
		r.sync()
		return
	}
	r.handle(message{event: Empty})
}

// sync is the drain itself. Plain local disks have nothing to drain. What is slower than the budget is
// said, and waited for with the lock held: a sync that hangs may still write.
func (r *Runner) sync() {
	paths := r.drainPaths()
	if lost := r.lostMount(paths); lost != "" {
		r.log.Warn("not drained: a mount is lost", "mount", lost)
		r.takeDown(func() { r.handle(message{event: Done}) })
		return
	}
	if len(paths) == 0 || !r.hold.writes {
		r.domain.drain.done = true
		r.takeDown(func() { r.handle(message{event: Done}) })
		return
	}
	wait := r.ask(worker.Request{Op: worker.OpDrain, Paths: paths}, math.MaxInt64)
	r.overdue(paths)
	r.next(func(ctx context.Context) (func(), message) {
		resp, err := wait(ctx)
		if err == nil {
			err = resp.Err()
		}
		return func() { r.synced(paths, err) }, message{}
	})
}

// synced ends the drain: what was synced must be the mounts that the payload ran on, not the bare
// directories below them.
func (r *Runner) synced(paths []string, err error) {
	if lost := r.lostMount(paths); err == nil && lost != "" {
		err = fmt.Errorf("mount %s was lost", lost)
	}
	if err != nil {
		r.log.Warn("not drained", "paths", paths, "cause", err)
	}
	r.domain.drain.done, r.domain.drain.overdue = err == nil, ""
	r.takeDown(func() { r.handle(message{event: Done}) })
}

// overdue says so when the drain takes longer than its budget.
func (r *Runner) overdue(paths []string) {
	budget := r.plan.Budgets.Drain
	r.next(func(ctx context.Context) (func(), message) {
		t := time.NewTimer(budget)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return nil, message{}
		case <-t.C:
		}
		return func() {
			r.domain.drain.overdue = fmt.Sprintf("the sync of %s has not returned within %v: the lock is kept and renewed until it does", strings.Join(paths, ", "), budget)
			r.log.Error("the drain is overdue: the lock is kept and renewed until it ends", "paths", paths, "budget", budget.String())
		}, message{}
	})
}

// lostMount names a mount that is lost or is not the one that the payload ran on, empty if all are right.
// The watch tells of a change a moment later than it happens, so the table is read here too.
func (r *Runner) lostMount(paths []string) string {
	if bad := r.seen.badMount(); bad != "" {
		return bad
	}
	for _, p := range paths {
		was, known := r.domain.drain.bases[p]
		if now, err := mountcheck.Trace(p); !known || err != nil || now.ID != was.ID || now.Unique != was.Unique || now.Point != was.Point {
			return p
		}
	}
	return ""
}

// traceBases keeps which mounts the payload will run on, right after they were found right.
func (r *Runner) traceBases() {
	r.domain.drain.bases = map[string]mountcheck.Mount{}
	for _, p := range r.drainPaths() {
		if m, err := mountcheck.Trace(p); err == nil {
			r.domain.drain.bases[p] = m
		}
	}
}

// drainPaths lie on the mounts that were named, and on every network mount that holds data or state.
func (r *Runner) drainPaths() []string {
	ps := slices.Clone(r.seen.network)
	for _, e := range r.plan.Mounts.Expect {
		if !slices.Contains(ps, e.Path) {
			ps = append(ps, e.Path)
		}
	}
	return ps
}
