package lifecycle

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/mutate"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/supervise"
)

// kill ends everything in the kill domain. The guard answers Empty once it is proven; a guard that is
// gone is taken over.
func (r *Runner) kill() {
	r.endBackup()
	r.endWarm()
	if r.domain.gone {
		r.takeOver()
	} else {
		r.domain.askedAt = r.clock()
		if err := r.guard.Kill(r.hold.tenant); err != nil {
			r.log.Warn("the guard does not take orders", "cause", err)
			r.takeOver()
		}
	}
	r.endProbes()
}

// endProbes ends our own write probes with the kill once the lease is lost: the proof may take longer than
// the lease has left, and a successor may write by then.
func (r *Runner) endProbes() {
	if r.hold.lost && r.phase >= Killing {
		r.closeMounts()
	}
}

// takeOver kills the guard, then the domain, and waits for the proof (E4). It is begun once.
func (r *Runner) takeOver() {
	if r.domain.takeover {
		return
	}
	r.domain.takeover, r.domain.gone = true, true
	r.log.Warn("taking over from the guard: killing it, then everything in the kill domain")
	env := []string{}
	if r.hold.tenure != nil {
		env = r.env()[:3]
	}
	r.besideAlways(func(context.Context) message { // no end of a phase ends it
		proof, err := r.guard.TakeOver(context.Background(), env)
		if err == nil && proof.Proven {
			return message{event: Empty, reason: "the guard was gone: " + proof.How, code: exit.Internal}
		}
		return message{event: Unproven, code: exit.Internal,
			reason: fmt.Sprintf("the guard was gone and nothing proves that all is dead (%s): the lock is left to expire, a successor waits the hold", how(proof, err))}
	})
}

func how(p supervise.Proof, err error) string {
	if err != nil {
		return err.Error()
	}
	return p.How
}

// watchGuard takes over from a guard that is silent: past the kill time that it goes by itself, or asked to
// kill and without an answer (it may be stopped).
func (r *Runner) watchGuard() {
	if r.domain.gone || r.hold.tenure == nil || mutate.Broken("guard-not-watched") { // E4: a silent guard is taken over
		return
	}
	now, t := r.clock(), r.plan.Lock.Options.Timing
	k := r.domain.goesBy
	pastKill := !k.IsZero() && !r.domain.killed && len(r.domain.stuck) == 0 && r.mayRun() && now.Reached(k.Add(t.KillBudget/4))
	silent := !r.domain.askedAt.IsZero() && now.HolderSince(r.domain.askedAt) > t.KillBudget+t.Margin
	if !pastKill && !silent {
		r.domain.suspect = 0
		return
	}
	// A silence seen once may be our own: stopped and continued, we see the clock before the guard's mail.
	if r.domain.suspect++; r.domain.suspect < 3 {
		return
	}
	r.log.Error("the guard is silent", "past_kill_time", pastKill, "asked_to_kill", silent)
	r.domain.askedAt = clock.Stamp{}
	r.decide(exit.Internal, "the guard did not answer in time")
	if r.phase == Killing {
		r.takeOver()
		return
	}
	r.domain.gone = true
	r.fire(GuardGone, "")
}

// mayRun tells whether something may be running in the kill domain.
func (r *Runner) mayRun() bool {
	return r.hold.writes && r.phase >= Mounting && r.phase <= Draining
}

// ordered notes that the guard was asked for something whose answer is waited for; an order that it did not
// take means that it is gone. That is acted upon before anything else is heard, which might go on as if a guard that is
// gone had proven all.
func (r *Runner) ordered(err error) {
	r.domain.askedAt = r.clock()
	if err != nil {
		r.log.Warn("the guard does not take orders", "cause", err)
		r.domain.gone = true
		r.fire(GuardGone, "")
	}
}

// finish asks for the guard's last word: after it nothing starts in this tenure ever again (E3), and no lease is taken.
// Before it our own probes end, because they write too, and what is still attached, whatever has ended the drain, is cut
// off, because with the lock goes the right to it.
func (r *Runner) finish() {
	if d := &r.domain.drain.device; d.begun && !d.cut {
		r.cutOff(r.lastWord)
		return
	}
	r.unprobed(r.lastWord)
}

func (r *Runner) lastWord() {
	if r.domain.gone {
		r.soon(message{event: Dead})
		return
	}
	r.ordered(r.guard.Finish(r.hold.tenant))
}

// release gives the lock back, the last step of a run.
func (r *Runner) release() {
	r.domain.askedAt, r.domain.drain.dead = clock.Stamp{}, true
	t, phase, started := r.hold.tenure, lock.Dead, r.hold.writes
	switch d := &r.domain.drain; {
	case d.done:
		phase = lock.Drained
		if started {
			t.SetVolumes(r.clean())
		}
	case len(d.volumes) > 0: // E7: what is not drained stays on record
		t.SetVolumes(r.undrained())
	}
	tm := r.plan.Lock.Options.Timing
	r.beside(func(context.Context) message {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(tm.Tries)*tm.TryTimeout)
		defer cancel()
		said, err := t.Release(ctx, phase, started)
		if err != nil {
			r.log.Warn("the lock was not released by us", "cause", err)
			return message{event: Failed}
		}
		r.log.Info("released", "token", t.Token(), "record", cmp.Or(string(said), "left as it was"))
		return message{event: Done}
	})
}
