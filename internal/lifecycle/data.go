package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/worker"
	"github.com/interlock-run/interlock/restore"
)

// claim commits the token to the snapshot store first: after that no earlier holder publishes anything that
// a restore could miss. Then it writes the token into the state directory.
func (r *Runner) claim() {
	if !r.plan.Store.there() {
		r.claimState()
		return
	}
	e := r.send(courier.OpClaim, r.plan.Budgets.Claim, nil)
	r.next(func(ctx context.Context) (func(), message) {
		a, err := e.wait(ctx)
		if err != nil {
			return nil, message{event: Failed, code: errandCode(err, exit.Unreachable), reason: fmt.Sprintf("snapshot store: %v", err)}
		}
		return func() {
			r.log.Info("claimed the snapshot store", "store", r.plan.Store.Errand.Store.URL, "catalog", a.Catalog, "newest", string(a.Newest.ID))
			r.seen.found(a.Newest)
			r.claimState()
		}, message{}
	})
}

// claimState is done by a worker: a higher token there means that this holder must not start.
func (r *Runner) claimState() {
	if r.plan.State == "" {
		r.soon(message{event: Done})
		return
	}
	o := r.plan.Lock.Options
	wait := r.ask(worker.Request{Op: worker.OpClaim, StateDir: r.plan.State, Mount: r.stateMount(), Claim: &fence.Claim{
		V: fence.ClaimVersion, Token: r.hold.tenure.Token(), Holder: o.Holder, Node: o.Node, BootID: o.BootID,
		Lock: r.plan.Lock.Scope, Since: time.Now().UTC(),
	}, Data: r.scripted(), Token: r.hold.tenure.Token(), When: r.plan.Restore.When, Script: len(r.plan.Restore.Exec) > 0}, r.plan.Budgets.Claim)
	r.next(func(ctx context.Context) (func(), message) {
		resp, err := wait(ctx)
		if err == nil {
			err = resp.Err()
		}
		if err == nil && r.scripted() != "" && resp.Decision == nil {
			err = errors.New("the worker decided nothing about the data")
		}
		if err != nil {
			return nil, message{event: Failed, code: claimCode(err), reason: fmt.Sprintf("cannot claim %s: %v", r.plan.State, err)}
		}
		return func() {
			r.seen.decision = resp.Decision
			r.handle(message{event: Done})
		}, message{}
	})
}

// scripted is the data directory that a light worker decides about; a restore from the store is decided by
// the courier.
func (r *Runner) scripted() string {
	if r.plan.Store.Restore {
		return ""
	}
	return r.plan.Data
}

// stateMount is the root of the named mount that must hold the state directory; empty on a plain disk.
func (r *Runner) stateMount() string {
	for _, e := range r.plan.Mounts.Expect {
		if r.plan.State == e.Path || strings.HasPrefix(r.plan.State, strings.TrimSuffix(e.Path, "/")+"/") {
			return e.Path
		}
	}
	return ""
}

// claimCode: a claim that contradicts the lock is a matter of configuration (a rebuilt lock service needs a
// token epoch), anything else is the mount's.
func claimCode(err error) int {
	var f *worker.Failure
	if errors.As(err, &f) {
		switch f.Kind {
		case worker.KindDeposed, worker.KindOtherLock, worker.KindCorrupt:
			return exit.Config
		case worker.KindInternal, worker.KindRequest:
			return exit.Internal
		}
	}
	return startCode(err, exit.Mount)
}

// restore follows the decision that the claim's worker made, right after the claim, by what is there. The
// script runs as a transaction: state `restoring`, script, state `clean`. Each step is one message to the loop, because only the loop starts
// processes.
func (r *Runner) restore() {
	if r.plan.State != "" {
		r.seen.mounts.EnableWrites(r.plan.State) // it is there now, and the lease runs
	}
	if r.plan.Data == "" || r.plan.State == "" {
		r.soon(message{event: Done})
		return
	}
	if r.plan.Store.Restore {
		r.fetch()
		return
	}
	d := r.seen.decision
	r.log.Info("restore decision", "action", string(d.Action), "why", d.Reason)
	switch d.Action {
	case restore.None:
		r.soon(message{event: Done})
	case restore.Refuse:
		r.soon(message{event: Failed, code: exit.Restore, reason: d.Reason})
	default:
		r.restoreStep(worker.OpBegin, d, func() { r.restoreScript(d) })
	}
}

// fetch is the restore from the store: the courier tells what it decided, then carries it out.
func (r *Runner) fetch() {
	began := time.Now()
	e := r.send(courier.OpRestore, r.plan.Restore.Timeout, func(l courier.Line) {
		switch {
		case l.Progress != nil:
			r.seen.progress(*l.Progress)
		case l.Decision != nil:
			d := *l.Decision
			r.post(message{then: func() { r.decided(d) }})
		}
	})
	r.seen.begins("restore", began)
	r.next(func(ctx context.Context) (func(), message) {
		a, err := e.wait(ctx)
		r.seen.rests()
		if err != nil {
			return nil, message{event: Failed, code: errandCode(err, exit.Restore), reason: fmt.Sprintf("restore from %s: %v", r.plan.Store.Errand.Store.URL, err)}
		}
		return func() { r.fetched(a, time.Since(began)) }, message{}
	})
}

func (r *Runner) decided(d courier.Decision) {
	r.log.Info("restore decision", "action", d.Action, "why", d.Reason)
	r.seen.decision = &restore.Decision{Action: restore.Action(d.Action), Reason: d.Reason}
}

func (r *Runner) fetched(a courier.Answer, took time.Duration) {
	for _, w := range a.Warnings {
		r.log.Warn("restore: " + w)
	}
	if a.Snapshot.ID != "" {
		r.seen.restoreTook = took
		r.log.Info("restored", "snapshot", string(a.Snapshot.ID), "taken", a.Snapshot.Time, "seconds", took.Seconds())
	}
	r.handle(message{event: Done})
}

func (r *Runner) restoreScript(d *restore.Decision) {
	began := time.Now()
	wait := r.command(r.plan.Restore.Exec, r.plan.Restore.Timeout)
	r.next(func(ctx context.Context) (func(), message) {
		if err := wait(ctx); err != nil {
			return nil, message{event: Failed, code: startCode(err, exit.Restore), reason: fmt.Sprintf("restore script %s: %v; the next start repeats it", r.plan.Restore.Exec[0], err)}
		}
		return func() {
			r.seen.restoreTook = time.Since(began)
			r.restoreStep(worker.OpCommit, d, func() { r.handle(message{event: Done}) })
		}, message{}
	})
}

// restoreStep is one request to a worker about the data directory, and what follows when it went well.
func (r *Runner) restoreStep(op string, d *restore.Decision, then func()) {
	req := worker.Request{
		Op: op, Data: r.plan.Data, StateDir: r.plan.State, Mount: r.stateMount(), Token: r.hold.tenure.Token(),
		Holder: r.plan.Lock.Options.Holder, When: r.plan.Restore.When, Script: len(r.plan.Restore.Exec) > 0, Want: d,
	}
	wait := r.ask(req, r.plan.Restore.Timeout)
	r.next(func(ctx context.Context) (func(), message) {
		resp, err := wait(ctx)
		if err == nil {
			err = resp.Err()
		}
		if err != nil {
			return nil, message{event: Failed, code: startCode(err, exit.Restore), reason: fmt.Sprintf("restore, %s: %v", op, err)}
		}
		return then, message{}
	})
}
