package lifecycle

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/worker"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/mountcheck/drain"
	"github.com/interlock-run/interlock/mountcheck/rescue"
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
	for _, v := range d.volumes {
		v.end = volumeEnd{broken: v.end.broken, hung: v.end.hung, lost: r.isLost(v)}
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

// inquire asks of each volume whether it is quiet. A mount that was broken is of no use any more: it is taken
// out of the way first, because as long as it is there nothing can be told.
func (r *Runner) inquire() {
	vs, g := r.domain.drain.volumes, r.ground
	done := make([]drain.Evidence, len(vs))
	for i, v := range vs {
		done[i] = r.evidence(v)
		if v.end.lost || v.end.broken {
			r.closeMounts() // our own probes hold what is to go
		}
	}
	r.next(func(ctx context.Context) (func(), message) {
		got, earlier := make([]drain.Verdict, len(vs)), make([]bool, len(vs))
		for i, v := range vs {
			got[i] = g.verdict(v, done[i], r.log)
			earlier[i] = got[i].State == drain.Drained && v.quiet != nil && v.quiet.Earlier(v.path)
		}
		return func() {
			for i, v := range vs {
				v.end.earlier = earlier[i]
			}
			r.judge(got)
		}, message{}
	})
}

// evidence is what was done to a volume, as far as the loop knows it.
func (r *Runner) evidence(v *volume) drain.Evidence {
	if d := r.domain.drain.device; v.device && !d.begun {
		return drain.Evidence{Synced: d.found.Rest.Synced, Detached: true, Settled: d.found.Rest.Settled}
	}
	e := drain.Evidence{Synced: v.end.synced && !v.end.lost}
	e.Left = !v.end.lost && !v.end.broken && !v.device
	return e
}

// detachLimit bounds the unmount of a broken mount, which hangs nowhere as far as is known.
const detachLimit = 5 * time.Second

// verdict asks, in a step.
func (g ground) verdict(v *volume, e drain.Evidence, log *slog.Logger) drain.Verdict {
	if v.quiet == nil {
		return v.outlook
	}
	if v.end.broken && !v.end.lost && !e.Detached {
		g.detach(v, log)
	}
	if !e.Left && !e.Detached {
		there, err := g.mounted(v.mount)
		if err != nil {
			return drain.Verdict{Path: v.path, State: drain.Unknown, Why: oneLine(err)}
		}
		e.Detached = !there
	}
	all := v.quiet.Check(map[string]drain.Evidence{v.path: e})
	if len(all) != 1 {
		return drain.Verdict{Path: v.path, State: drain.Unknown, Why: "nobody was asked"}
	}
	return all[0]
}

func (g ground) detach(v *volume, log *slog.Logger) {
	now, err := g.trace(v.path)
	if err == nil && !same(now, v.mount) || v.puller == nil {
		return
	}
	if err := v.puller.Pull(rescue.Lever{Kind: rescue.Detach, Mount: v.mount}, detachLimit); err != nil {
		log.Warn("a broken mount stays where it is", "volume", v.path, "cause", err)
	}
}

// again is how long a volume that is not drained yet is let be.
const again = time.Second

// judge decides what becomes of the lock: drained only where all volumes are, and none was lost, because what was
// written in a lost one's place since is nobody's account. What waiting may help is waited for with the lock
// held; what it cannot help is left to the successor.
func (r *Runner) judge(got []drain.Verdict) {
	d := &r.domain.drain
	all, pending := r.accounted(), false
	for i, v := range d.volumes {
		was := v.end.verdict
		v.end.verdict = got[i]
		all = all && got[i].State == drain.Drained && !v.end.lost
		pending = pending || got[i].State == drain.Pending
		if was.State != got[i].State {
			v.tellEnd(r.log)
		}
	}
	d.asked = true
	switch {
	case pending:
		r.later(again, func() { r.takeDown(r.inquire) })
		return
	case all: // E2
		d.done = true
	default:
		r.log.Warn("not drained, and waiting does not help: the successor waits settle and is told of it", "volumes", r.undrained())
	}
	d.overdue = ""
	r.quieted()
}

// accounted tells whether nothing is left that nobody looked at: a device that came up in a run that was stopped
// before the look was taken down all the same, and has told whether it was settled.
func (r *Runner) accounted() bool {
	dev := r.domain.drain.device
	seen := slices.ContainsFunc(r.domain.drain.volumes, func(v *volume) bool { return v.device })
	return !dev.up || seen || dev.found.Rest.Settled || r.plan.Device.Volume == ""
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

// waitedFor says what keeps the volumes from being drained, as far as waiting may help.
func (d *drainage) waitedFor() []string {
	var whys []string
	for _, v := range d.volumes {
		if v.end.syncing || d.asked && v.end.verdict.State == drain.Pending {
			whys = append(whys, v.why())
		}
	}
	return whys
}

// watchDrain says so when the drain takes longer than its budget, and gives up where that is wanted.
func (r *Runner) watchDrain(now time.Time) {
	d := &r.domain.drain
	if r.phase != Draining || d.began.IsZero() || d.done || now.Sub(d.began) < r.plan.Budgets.Drain {
		return
	}
	whys := d.waitedFor()
	if len(whys) == 0 {
		return
	}
	first := d.overdue == ""
	d.overdue = fmt.Sprintf("not drained within %v: %s", r.plan.Budgets.Drain, strings.Join(whys, "; "))
	if r.plan.Stop.Undrained {
		r.log.Error("the drain is overdue: the lock is released, the record says dead", "why", whys)
		d.overdue = ""
		r.quieted()
	} else if first {
		r.log.Error("the drain is overdue: the lock is kept and renewed until it ends", "why", whys)
	}
}

// isLost tells whether a mount is not there, or is not the one that was found right. The watch tells of a change
// a moment later than it happens, so the table itself is read.
func (r *Runner) isLost(v *volume) bool {
	now, err := r.ground.trace(v.path)
	return err != nil || !same(now, v.mount)
}

func same(a, b mountcheck.Mount) bool {
	return a.ID == b.ID && a.Unique == b.Unique && a.Point == b.Point
}

// clean are the names on record of what is drained also of all that was sent there before: the record forgets them.
func (r *Runner) clean() []string {
	var names []string
	for _, v := range r.domain.drain.volumes {
		if v.record != "" && v.end.earlier {
			names = append(names, v.record)
		}
	}
	return names
}

// undrained are the names on record of what is not drained.
func (r *Runner) undrained() []string {
	var names []string
	for _, v := range r.domain.drain.volumes {
		if v.record != "" && (v.end.lost || v.end.verdict.State != drain.Drained) {
			names = append(names, v.record)
		}
	}
	return names
}
