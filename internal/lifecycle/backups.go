package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
)

// Waits of scheduled backups.
const (
	// overdueWait is how soon a backup comes that nobody took while nobody ran: the service starts first.
	overdueWait = 30 * time.Second
	firstRetry  = 15 * time.Second
	maxRetry    = 10 * time.Minute
	wallStep    = 30 * time.Second // between looks at the wall clock, which may be set
)

// scheduleBackups begins the schedule with the payload's service. A slot that fell into the time without a
// holder is made up for.
func (r *Runner) scheduleBackups() {
	if r.plan.Store.Next == nil {
		return
	}
	r.backupAt(firstDue(r.plan.Store.Next, r.seen.newest(), wall()), 0)
}

// firstDue is when the first backup of a tenure comes. newest was stamped by another clock, maybe one that was
// far ahead: it brings a backup forward, and never puts one off.
func firstDue(next func(time.Time) time.Time, newest, now time.Time) time.Time {
	due := next(now)
	if newest.IsZero() {
		return due
	}
	last := next(newest)
	switch {
	case last.IsZero():
		return due
	case last.After(now):
		return earlier(due, last)
	}
	return earlier(due, now.Add(overdueWait))
}

// stillDue is when a backup that was due then comes now: sooner where the clock was set back meanwhile, else
// none would be taken until it has caught up.
func stillDue(next func(time.Time) time.Time, due, now time.Time) time.Time {
	if slot := next(now); !slot.IsZero() {
		return earlier(due, slot)
	}
	return due
}

// backupAt waits for the time by the wall clock, beside the loop. tries is how many have failed since the
// last success.
func (r *Runner) backupAt(due time.Time, tries int) {
	if due.IsZero() {
		r.log.Warn("backup.schedule has no further time: no backup will be taken")
		return
	}
	r.seen.due(due)
	r.next(func(ctx context.Context) (func(), message) {
		for left := due.Sub(wall()); left > 0; left = due.Sub(wall()) {
			due = stillDue(r.plan.Store.Next, due, wall())
			left = min(left, due.Sub(wall()))
			t := time.NewTimer(min(left, wallStep))
			select {
			case <-ctx.Done():
				t.Stop()
				return nil, message{}
			case <-t.C:
			}
		}
		return func() { r.backup(tries) }, message{}
	})
}

// backup takes one, at low priority; there is never a second one beside it.
func (r *Runner) backup(tries int) {
	began := wall()
	if r.domain.warming.id != 0 { // half a cache is no dump
		r.backupAt(began.Add(overdueWait), tries)
		return
	}
	r.take(began, func(err error) {
		switch {
		case fenced(err) && r.phase < Draining: // later everything is dead, and ours to take down in order
			r.handle(message{event: LeaseLost, code: exit.Lost, reason: fmt.Sprintf("fenced off: a later holder has claimed the snapshot store: %v", err)})
		case r.phase == Serving:
			r.backupAt(r.following(err, began, tries), countFailed(err, tries))
		}
	})
}

// take sends for a backup and accounts for its end, whatever the phase is by then.
func (r *Runner) take(began time.Time, then func(err error)) {
	e := r.sendBackup(began)
	r.domain.procs.backup = e.id
	r.besideAlways(func(ctx context.Context) message {
		a, err := e.wait(ctx)
		return message{then: func() {
			if r.domain.procs.backup == e.id {
				r.domain.procs.backup = 0
			}
			r.backedUp(a, err, began)
			then(err)
		}}
	})
}

func (r *Runner) sendBackup(began time.Time) errand {
	r.log.Info("backup begins", "store", r.plan.Store.Errand.Store.URL, "on_stop", r.phase == Saving)
	r.seen.begins("backup", began)
	op, limit := r.plan.Store.backup()
	return r.send(op, limit, func(l courier.Line) {
		if l.Progress != nil {
			r.seen.progress(*l.Progress)
		}
	})
}

func countFailed(err error, tries int) int {
	if err == nil {
		return 0
	}
	return tries + 1
}

// following is when the next one comes: at the next slot, or sooner after a failure.
func (r *Runner) following(err error, began time.Time, tries int) time.Time {
	now := wall()
	slot := r.plan.Store.Next(began)
	if !slot.IsZero() && slot.Before(now) {
		slot = r.plan.Store.Next(now)
		r.log.Warn("the backup took longer than its schedule allows: a slot was left out", "took", now.Sub(began).String(), "next", slot)
	}
	if err == nil {
		return slot
	}
	wait := firstRetry << min(tries, 10)
	return earlier(slot, now.Add(min(wait, maxRetry)))
}

// fenced tells whether the store has seen a later holder. As with the claim file that is the end: whatever
// gave us the lock, somebody else has it now.
func fenced(err error) bool {
	f, ok := errors.AsType[*courier.Failure](err)
	return ok && f.Code == exit.Lost
}

// earlier of two times; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// wall is the time by which schedules go: without the monotonic part, since the clock may be set.
func wall() time.Time { return time.Now().Round(0) }

// backedUp accounts for the end of a backup. A failure harms nobody: the payload goes on.
func (r *Runner) backedUp(a courier.Answer, err error, began time.Time) {
	if errors.Is(err, context.Canceled) { // endBackup has told of it
		r.seen.cut()
		return
	}
	took := wall().Sub(began)
	r.seen.backedUp(a, err, took)
	for _, w := range a.Warnings {
		r.log.Warn("backup: " + w)
	}
	if err != nil {
		r.log.Error("backup failed: nothing was published; the service goes on", "cause", err, "seconds", took.Seconds())
		return
	}
	s := a.Snapshot
	r.log.Info("backup published", "snapshot", string(s.ID), "bytes", s.Bytes, "stored", s.Stored, "seconds", took.Seconds(), "removed", a.Dropped)
}

// endBackup kills a backup that is under way when the service ends: nobody waits for it, and nothing of it
// is published.
func (r *Runner) endBackup() {
	if r.domain.procs.backup == 0 {
		return
	}
	if err := r.guard.KillOne(r.domain.procs.backup); err != nil {
		r.log.Debug("the backup could not be killed by itself; it dies with the rest", "cause", err)
	}
	r.domain.procs.backup = 0
	r.log.Warn("a backup was under way: it is killed; what it has not published yet it never will")
}

// save is backup.on_stop: a cold copy of what the payload left, between the proof of its death and the
// drain, heartbeats going on. Its failure is told, and ends nothing.
func (r *Runner) save() {
	if why := r.unsaved(); why != "" {
		if r.plan.Store.OnStop && r.domain.payload.pid != 0 && !r.domain.drain.saved {
			r.log.Warn("no backup at this stop: " + why)
		}
		r.soon(message{event: Done})
		return
	}
	r.domain.drain.saved = true
	r.renewed(func() {
		r.domain.drain.unproven = true
		done := r.present(func() { r.handle(message{event: Done}) })
		r.take(wall(), func(error) { done() })
	})
}

// unsaved tells why there is nothing to save, or nobody may.
func (r *Runner) unsaved() string {
	p := r.domain.payload
	switch {
	case !r.plan.Store.OnStop || p.pid == 0 || r.domain.drain.saved:
		return "none was asked for"
	case r.domain.gone:
		return "the guard is gone"
	case r.hold.lost:
		return "the lock is lost"
	case r.seen.badMount() != "":
		return "mount " + r.seen.badMount() + " is lost"
	case !p.orderly():
		return "the payload did not end in order, so its files may not be at rest; the snapshots before stand"
	}
	return ""
}
