package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/mountcheck/drain"
	"github.com/interlock-run/interlock/mountcheck/rescue"
)

// inquire asks of each volume whether it is quiet. A mount that was broken is of no use any more: it is taken
// out of the way first, because as long as it is there nothing can be told.
func (r *Runner) inquire() {
	if slices.ContainsFunc(r.domain.drain.volumes, func(v *volume) bool { return v.end.lost || v.end.broken }) {
		r.unprobed(r.question) // our own probes hold what is to go
		return
	}
	r.question()
}

func (r *Runner) question() {
	qs, g := make([]question, len(r.domain.drain.volumes)), r.ground
	for i, v := range r.domain.drain.volumes {
		qs[i] = question{volume: v, done: r.evidence(v), detach: v.end.broken && !v.end.lost && !v.end.hung, hosts: v.end.lost && !v.end.broken && !v.device}
	}
	got := make([]answer, len(qs))
	judge := r.present(func() { r.judge(got) })
	r.besideAlways(func(context.Context) message {
		for i, q := range qs {
			got[i] = g.answer(q, r.log)
		}
		return message{then: func() {
			for i, q := range qs {
				q.volume.end.hung = q.volume.end.hung || got[i].hung // whatever the phase is by now: it is not tried again
			}
			judge()
		}}
	})
}

// A question is about one volume. It is put in a step, which looks at nothing of the volume that the loop changes.
type question struct {
	volume *volume
	done   drain.Evidence
	detach bool // first
	hosts  bool // what is still mounted of it, somewhere or below another mount, is the host's, who keeps it
}

// An answer is what came of it.
type answer struct {
	drain.Verdict
	earlier bool // so is what payloads before had sent
	hung    bool // the detaching did
}

// evidence is what was done to a volume, as far as the loop knows it.
func (r *Runner) evidence(v *volume) drain.Evidence {
	if d := r.domain.drain.device; v.device && !d.begun {
		return drain.Evidence{Synced: d.found.Rest.Synced, Detached: true, Settled: d.found.Rest.Settled}
	}
	return drain.Evidence{
		Synced: v.end.synced && !v.end.lost,
		Left:   !v.end.lost && !v.end.broken && !v.device,
	}
}

// answer asks, in a step.
func (g ground) answer(q question, log *slog.Logger) (a answer) {
	v, e := q.volume, q.done
	if v.quiet == nil {
		return answer{Verdict: v.outlook}
	}
	if q.detach && !e.Detached {
		a.hung = g.detach(v, log)
	}
	a.Verdict = drain.Verdict{Path: v.path, State: drain.Unknown, Why: "nobody was asked"}
	if !e.Left && !e.Detached {
		there, err := g.mounted(v.mount)
		if err != nil {
			a.Why = oneLine(err)
			return a
		}
		e.Detached, e.Left = !there, there && q.hosts
	}
	if all := v.quiet.Check(map[string]drain.Evidence{v.path: e}); len(all) == 1 {
		a.Verdict = all[0]
	}
	a.earlier = a.State == drain.Drained && v.quiet.Earlier(v.path)
	return a
}

// detachLimit bounds the unmount of a broken mount, which hangs nowhere as far as is known.
const detachLimit = 5 * time.Second

// detach is tried each time, but not again once it has hung: each try leaves a process then.
func (g ground) detach(v *volume, log *slog.Logger) (hung bool) {
	now, err := g.trace(v.path)
	if err == nil && !same(now, v.mount) || v.puller == nil {
		return false
	}
	if err = v.puller.Pull(rescue.Lever{Kind: rescue.Detach, Mount: v.mount}, detachLimit); err != nil {
		log.Warn("a broken mount stays where it is", "volume", v.path, "cause", err)
	}
	return errors.Is(err, rescue.ErrHangs)
}

// again is how long a volume that is not drained yet is let be.
const again = time.Second

// judge decides what becomes of the lock: drained only where all volumes are, and none was lost, because what was
// written in a lost one's place since is nobody's account. What waiting may help is waited for with the lock
// held; what it cannot help is left to the successor.
func (r *Runner) judge(got []answer) {
	d := &r.domain.drain
	if len(got) != len(d.volumes) { // the look at a mount that hung has ended only now
		r.takeDown(r.inquire)
		return
	}
	all, pending := r.accounted(), false
	for i, v := range d.volumes {
		was := v.end.verdict
		v.end.verdict, v.end.earlier = got[i].Verdict, got[i].earlier
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
// before the look, or failed to, was taken down all the same, and has told whether it was settled.
func (r *Runner) accounted() bool {
	dev := r.domain.drain.device
	seen := slices.ContainsFunc(r.domain.drain.volumes, func(v *volume) bool { return v.device })
	return !dev.up && !dev.found.Rest.Loose || seen || dev.found.Rest.Settled || r.plan.Device.Volume == ""
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
