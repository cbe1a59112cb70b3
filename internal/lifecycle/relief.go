package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/interlock-run/interlock/mountcheck/rescue"
)

// relief is what is done about processes that do not die and syncs that do not return, because storage keeps
// them. Only what has lasted as long as the drain's budget is broken: it stays so.
type relief struct {
	since   time.Time // of the present trouble; zero: none
	queue   []pullable
	pulling bool
	waits   bool      // the drain, for its end
	rest    time.Time // before it nothing is pulled
	pulls   []string  // what was pulled, for people
	count   int
	failed  int // in vain
	reset   resetting
}

// resetting is how far the reset of the machine is.
type resetting struct {
	line  string // one line, once it was decided
	tried bool
}

// A pullable is one lever of one volume.
type pullable struct {
	volume *volume
	lever  rescue.Lever
}

// pullLimit is how long one lever may take; restTime how long those that it may have freed have to end.
const (
	pullLimit = 5 * time.Second
	restTime  = time.Second
)

// relieve is called with each tick.
func (r *Runner) relieve(now time.Time) {
	t := &r.domain.drain.relief
	r.missGuard()
	what := r.trouble()
	if what == "" {
		t.over()
		return
	}
	if t.since.IsZero() {
		t.since = now
	}
	budget, lasted := r.plan.Budgets.Drain, now.Sub(t.since)
	if r.plan.Stop.Free && !t.pulling && lasted >= budget && !now.Before(t.rest) {
		r.pullNext(now)
	}
	if after := r.plan.Stop.ResetAfter; after > 0 && lasted >= after && !t.reset.tried {
		r.reset(what)
	}
}

// over forgets the trouble: what comes next, though no tick may lie between, lasts from its own beginning.
func (t *relief) over() { t.since, t.queue, t.reset.line = time.Time{}, nil, "" }

// missGuard names the payload as stuck where the guard, who would, is being taken over from.
func (r *Runner) missGuard() {
	p := r.domain.payload
	if !r.domain.takeover {
		return
	}
	r.domain.stuck = nil
	if r.phase == Killing && time.Since(r.step.since) > r.plan.Lock.Options.Timing.KillBudget && p.pid != 0 && !p.exited && r.ground.asleep([]int{p.pid}) {
		r.domain.stuck = []int{p.pid}
	}
}

// trouble says what storage keeps from its end, empty for nothing. A process that only takes its time is none.
func (r *Runner) trouble() string {
	switch {
	case r.phase < Killing || r.phase > Finishing:
		return ""
	case len(r.domain.stuck) > 0 && r.ground.asleep(r.domain.stuck):
		return fmt.Sprintf("processes %v are killed and not dead", r.domain.stuck)
	case r.phase == Killing && r.domain.takeover && r.clock().Reached(r.domain.goesBy): // a guard that is PID 1 is outwaited until then
		return "the guard is gone, and what it had started is not proven dead"
	case r.phase == Draining && slices.ContainsFunc(r.domain.drain.volumes, hangs):
		return "a sync does not return"
	}
	return ""
}

func hangs(v *volume) bool { return v.end.syncing }

// pullNext pulls one lever beside the loop. When all were pulled it begins anew, after a rest as long as the
// first: who waited behind another's request may wait in its own by now.
func (r *Runner) pullNext(now time.Time) {
	t := &r.domain.drain.relief
	if len(t.queue) == 0 {
		if t.queue = r.pullables(); len(t.queue) == 0 {
			t.rest = now.Add(r.plan.Budgets.Drain)
			return
		}
	}
	next := t.queue[0]
	t.queue, t.pulling = t.queue[1:], true
	r.log.Error("freeing what is stuck: its storage is broken for that", "lever", next.lever.String(), "volume", next.volume.path)
	r.besideAlways(func(context.Context) message {
		err := next.volume.puller.Pull(next.lever, pullLimit)
		return message{then: func() { r.pulled(next, err) }}
	})
}

// pullables are the levers in their order: those of mounts that are known to be bad first. Where only syncs hang
// the other volumes are left alone, and one at which a lever hung is not pulled again: each leaves a process.
func (r *Runner) pullables() []pullable {
	var first, then []pullable
	all := len(r.domain.stuck) > 0 || r.domain.takeover
	for _, v := range r.domain.drain.volumes {
		if v.puller == nil || v.end.hung || !all && !hangs(v) {
			continue
		}
		list := &then
		if hangs(v) || r.seen.bad(v.mount.Point) {
			list = &first
		}
		for _, l := range v.levers {
			*list = append(*list, pullable{v, l})
		}
	}
	return append(first, then...)
}

func (r *Runner) pulled(p pullable, err error) {
	t, now := &r.domain.drain.relief, time.Now()
	t.pulling, t.rest = false, now.Add(restTime)
	t.count++
	if len(t.queue) == 0 {
		t.rest = now.Add(max(restTime, r.plan.Budgets.Drain))
	}
	hung := errors.Is(err, rescue.ErrHangs)
	p.volume.end.hung = p.volume.end.hung || hung
	if err == nil || hung { // also one that hangs may have been of use
		p.volume.end.broken = true
	}
	p.volume.end.useless = p.volume.end.useless || err == nil && ruins(p.lever)
	line := p.lever.String()
	if err != nil {
		t.failed++
		line = oneLine(err)
		r.log.Error("a lever was of no use", "cause", err)
	} else {
		r.log.Warn("a lever was pulled", "lever", line, "volume", p.volume.path)
	}
	if len(t.pulls) < maxPulls {
		t.pulls = append(t.pulls, line)
	}
	if t.waits && r.phase == Draining {
		r.synced()
	}
}

// ruins tells whether a mount is of no use to anybody after a lever. One of NFS goes on after a forced unmount that
// found it busy.
func ruins(l rescue.Lever) bool {
	return l.Kind != rescue.Force || strings.HasPrefix(l.Mount.FSType, "fuse")
}

// lastDetach takes away what our levers have ruined, for runs that ended before it was asked about: the next start
// would find it. Not where somebody may live who would write into the directory below.
func (r *Runner) lastDetach() {
	if !r.domain.drain.dead {
		return
	}
	for _, v := range r.domain.drain.volumes {
		if v.end.useless && !v.end.hung && !v.device {
			r.ground.detach(v, r.log)
		}
	}
}

// maxPulls bounds what is shown.
const maxPulls = 50

// lastLog is how long the last line of the log has to reach its reader.
const lastLog = time.Second

// reset resets the machine, once, if the trouble still lasts when that was said.
func (r *Runner) reset(what string) {
	t := &r.domain.drain.relief
	t.reset.tried = true
	t.reset.line = fmt.Sprintf("%s for %v: this machine is being reset", what, r.plan.Stop.ResetAfter)
	r.log.Error("resetting this machine", "why", what, "after", r.plan.Stop.ResetAfter.String())
	r.besideAlways(func(ctx context.Context) message {
		timer := time.NewTimer(lastLog)
		defer timer.Stop()
		<-timer.C
		return message{then: r.resetNow}
	})
}

func (r *Runner) resetNow() {
	t := &r.domain.drain.relief
	if t.reset.line == "" || r.trouble() == "" { // over, be it that there is another one by now
		t.reset = resetting{}
		r.log.Warn("no reset: nothing is stuck any more")
		return
	}
	r.besideAlways(func(context.Context) message {
		err := r.ground.reset()
		return message{then: func() {
			t.reset.line = "this machine cannot be reset: " + oneLine(cmp.Or(err, errNoReset))
			r.log.Error("this machine cannot be reset", "cause", err)
		}}
	})
}

var errNoReset = errors.New("reboot(2) came back")
