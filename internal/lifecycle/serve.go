package lifecycle

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/mutate"
	"github.com/interlock-run/interlock/supervise"
)

// preStart runs the hook; a failing one ends the run.
func (r *Runner) preStart() {
	h := r.plan.Payload.Hooks.PreStart
	wait := func(context.Context) error { return nil }
	if len(h.Exec) > 0 {
		wait = r.command(h.Exec, h.Timeout)
	} else if !r.plan.Payload.NextSecond {
		r.soon(message{event: Done})
		return
	}
	since := r.hold.since
	r.beside(func(ctx context.Context) message {
		if err := wait(ctx); err != nil {
			return message{event: Failed, code: startCode(err, exit.Restore), reason: fmt.Sprintf("pre_start hook %s: %v", h.Exec[0], err)}
		}
		if r.plan.Payload.NextSecond {
			nextSecond(ctx, since)
		}
		return message{event: Done}
	})
}

// nextSecond waits until the wall clock shows another second than at that time: whoever ran before us had ended
// by then.
func nextSecond(ctx context.Context, since time.Time) {
	now := wall()
	if now.Unix() != since.Unix() {
		return
	}
	t := time.NewTimer(now.Truncate(time.Second).Add(time.Second).Sub(now))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// launch asks for the payload. Its Started arrives as Done, its failure to start as PayloadExited.
func (r *Runner) launch() {
	r.hold.writes = true
	r.domain.payload.id = payloadID
	err := r.guard.Start(supervise.Spec{
		ID: payloadID, Tenure: r.hold.tenant, Payload: true, ArgvFrom: r.plan.Payload.ArgvFrom,
		Env: r.env(), PIDVariable: payloadPIDVariable, Credential: r.plan.Payload.Credential,
	})
	if err != nil {
		r.beside(func(context.Context) message {
			return message{event: Failed, code: exit.Internal, reason: fmt.Sprintf("cannot ask the guard for the payload: %v", err)}
		})
	}
}

// serve runs the post_start hook beside the payload, keeps an eye on the claim, and takes backups.
func (r *Runner) serve() {
	r.hookBeside("post_start", r.plan.Payload.Hooks.PostStart)
	if r.plan.State != "" {
		r.beside(r.watchClaim)
	}
	r.scheduleBackups()
}

// hookBeside runs a hook whose failure changes nothing but the log.
func (r *Runner) hookBeside(name string, h Hook) {
	if len(h.Exec) == 0 {
		return
	}
	wait := r.command(h.Exec, h.Timeout)
	r.beside(func(ctx context.Context) message {
		if err := wait(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("hook failed", "hook", name, "command", h.Exec[0], "cause", err)
		}
		return message{event: Done}
	})
}

// watchClaim re-reads the claim with each probe of its mount: a higher token there means that a later
// holder has started (LOST). A claim that cannot be read is the mount watch's finding, not ours.
func (r *Runner) watchClaim(ctx context.Context) message {
	tick := time.NewTicker(r.plan.Mounts.Period)
	defer tick.Stop()
	own := r.hold.tenure.Token()
	var data []byte
	for {
		next, err := r.seen.mounts.ReadNext(ctx, filepath.Join(r.plan.State, fence.ClaimFile), claimLimit, data)
		if ctx.Err() != nil {
			return message{event: Done}
		}
		if err != nil {
			r.debug("cannot re-read the claim", "cause", err)
			select {
			case <-ctx.Done():
			case <-tick.C: // not oftener than it is probed
			}
			continue
		}
		data = next
		c, err := fence.ParseClaim(data)
		if err != nil {
			r.log.Warn("the claim file is damaged while we run", "cause", err)
			continue
		}
		if c.Token < own || c.Lock != r.plan.Lock.Scope {
			r.log.Error("the claim is not ours any more, though nobody may have overwritten it: is it edited by hand, or shared with another lock?", "claim", c.Token, "by", c.Holder, "lock", c.Lock)
		}
		if c.Token > own {
			return message{event: LeaseLost, code: exit.Lost,
				reason: fmt.Sprintf("fenced off: %s on node %s claimed %s with token %s, ours is %s", c.Holder, c.Node, r.plan.State, c.Token, own)}
		}
	}
}

// stop is the ordinary stop: pre_stop hook, the stop signal, --stop-grace; heartbeats go on.
func (r *Runner) stop() {
	if mutate.Broken("release-before-death") { // E2: release only after everything is proven dead
		r.release()
	}
	r.endBackup()
	r.endWarm()
	if r.plan.State != "" {
		r.beside(r.watchClaim)
	}
	h := r.plan.Payload.Hooks.PreStop
	if len(h.Exec) == 0 || r.domain.payload.pid == 0 {
		r.signalPayload()
		return
	}
	wait := r.command(h.Exec, h.Timeout)
	r.next(func(ctx context.Context) (func(), message) {
		if err := wait(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("hook failed", "hook", "pre_stop", "command", h.Exec[0], "cause", err)
		}
		return r.signalPayload, message{}
	})
}

func (r *Runner) signalPayload() {
	sig := r.plan.Stop.Signal
	if s := r.domain.payload.signal; s == syscall.SIGINT || s == syscall.SIGQUIT {
		sig = s // forwarded as they are
	}
	if sig != 0 {
		r.endPayload(sig)
	}
	r.after(r.plan.Stop.Grace)
}

// endPayload wakes the payload behind the signal: one that somebody stopped (Ctrl-Z, a debugger) would hear
// nothing, and lose its grace.
func (r *Runner) endPayload(sig syscall.Signal) {
	r.domain.payload.told = sig
	r.sendPayload(sig)
	if r.domain.payload.pid != 0 {
		r.sendPayload(syscall.SIGCONT)
	}
}

// sendPayload waits for the start: before it there is only our own gate, which takes a signal for nobody.
func (r *Runner) sendPayload(sig syscall.Signal) {
	if r.domain.payload.pid == 0 {
		r.domain.payload.due = sig
		return
	}
	if err := r.guard.Signal(payloadID, sig); err != nil {
		r.log.Warn("cannot signal the payload", "signal", sig.String(), "cause", err)
	}
}

// lose is the end after the lock or a mount was lost: TERM, and after the grace KILL. The guard's own
// deadline stands beside it and is earlier when the lease runs out.
func (r *Runner) lose() {
	r.endBackup()
	r.endWarm()
	if r.plan.Stop.LossGrace == 0 {
		r.soon(message{event: TimeUp})
		return
	}
	r.endPayload(syscall.SIGTERM)
	r.after(r.plan.Stop.LossGrace)
}
