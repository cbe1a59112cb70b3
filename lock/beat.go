package lock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/mutate"
)

var (
	errKeyGone  = errors.New("our lock key is gone (removed, or the session ended)")
	errOverride = errors.New("the state record was written by another tenure")
)

// loop is the tenure's one goroutine (W4). It ends when stopped or when the key is gone; after a loss by
// time it goes on renewing, because a payload that is not proven dead must keep the lock, but nothing
// extends the lease then (E1).
func (t *Tenure) loop(ctx context.Context) {
	if !t.holdOff(ctx) {
		return
	}
	began := t.o.Clock()
	if mutate.Broken("start-before-ack") { // T5: nothing starts before the `running` write is acknowledged
		t.acknowledged(began, Running)
	}
	for t.beat(ctx, Running) {
		if t.neverLeased(began) {
			return
		}
		if _, ok := t.rest(ctx, t.period()); !ok {
			return
		}
	}
}

// neverLeased ends a tenure whose first `running` heartbeat is not acknowledged within a hold after the
// hold-off (T7): nothing runs, no lease will run out, and the key would keep everybody else waiting.
func (t *Tenure) neverLeased(began clock.Stamp) bool {
	waited, s := t.o.Clock().HolderSince(began), t.Status()
	if s.Running || waited < t.o.Timing.Hold || s.FailedTries < t.o.Timing.Tries { // a stop of our own proves nothing
		return false
	}
	t.lose(fmt.Errorf("%w: no heartbeat was acknowledged within %v after the hold-off: %w", ErrUnreachable, waited.Round(time.Millisecond), t.cause))
	return true
}

// retryPause lies between a failed try and the next: an error that comes at once must not turn into a
// busy loop, and n tries must fit all the same.
const retryPause = 200 * time.Millisecond

// holdOff writes `waiting` heartbeats with what is left until the wait has passed (T4), and reports
// whether `running` may follow.
func (t *Tenure) holdOff(ctx context.Context) bool {
	due := time.Duration(0) // until the next heartbeat
	defer t.beginFencing(ctx)()
	for {
		left := t.stillOwed()
		if left == 0 {
			t.settled()
			return ctx.Err() == nil
		}
		if due <= 0 {
			if !t.beat(ctx, Waiting) {
				return false
			}
			due = t.period()
		}
		d := min(due, left)
		if t.o.ProvenEmpty != nil {
			d = min(d, emptyLook)
		}
		asked, ok := t.rest(ctx, d)
		if !ok {
			return false
		}
		due -= d
		if asked {
			due = 0
		}
	}
}

// period is the time to the next heartbeat: sooner after a failed one, and at once after one that hung.
func (t *Tenure) period() time.Duration {
	if t.failing() {
		return max(0, min(t.o.Timing.Heartbeat, retryPause)-t.o.Clock().HolderSince(t.tried))
	}
	return t.o.Timing.Heartbeat
}

// stillOwed is what is left of the hold-off, for the loop and for status.
func (t *Tenure) stillOwed() time.Duration {
	left := t.left()
	if left > 0 && t.provenEmpty() {
		left = 0
	}
	t.mu.Lock()
	t.state.waitLeft = left
	t.mu.Unlock()
	return left
}

// emptyLook is how often the hold-off looks whether the old kill domain has emptied.
const emptyLook = 250 * time.Millisecond

// provenEmpty is the same-boot shortcut of the file driver: the kill domain on record is empty. Whom a running
// record carries has been waited for; only late writes are possible, which no hold-off without settle covers.
func (t *Tenure) provenEmpty() bool {
	r := t.previous
	if t.o.ProvenEmpty == nil || r == nil || r.Phase != Running || r.Token == t.token || r.Domain == nil || slices.ContainsFunc(r.Owes, isUnknown) {
		return false
	}
	empty, how := t.o.ProvenEmpty(r.BootID, *r.Domain)
	if !empty || t.o.Timing.Settle > 0 || r.SettleMS > 0 {
		t.o.Log("the old kill domain is not proven empty", "cause", how)
		return false
	}
	t.mu.Lock()
	t.in.why = how
	t.mu.Unlock()
	return true
}

// rest waits for d, or for what asks for a heartbeat at once: the owner, or the driver's hint that the
// key is gone, which is followed once. T_term ends it too.
func (t *Tenure) rest(ctx context.Context, d time.Duration) (asked, ok bool) {
	if left, armed := t.termLeft(); armed {
		d = min(d, max(left, 0)+time.Millisecond)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false, false
	case <-timer.C:
	case <-t.beatNow:
		asked = true
	case <-t.gone:
		t.gone, asked = nil, true
	}
	t.checkTerm()
	return asked, true
}

// termLeft is the time to T_term while the lease still counts.
func (t *Tenure) termLeft() (time.Duration, bool) {
	now := t.o.Clock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.state.running || t.state.lost != nil {
		return 0, false
	}
	return -now.HolderSince(t.state.lease.Term), true
}

// checkTerm is E1: near D the tenure is lost, whatever comes later.
func (t *Tenure) checkTerm() {
	if left, armed := t.termLeft(); armed && left <= 0 {
		s := t.Status()
		t.lose(fmt.Errorf("no heartbeat was acknowledged for %v (%d tries failed)", s.LastAckAgo.Round(time.Millisecond), s.FailedTries))
	}
}

func (t *Tenure) failing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.tries > 0
}

// beat is one try of a heartbeat in the given phase, and what follows from its outcome. It reports
// whether the loop may go on.
func (t *Tenure) beat(ctx context.Context, phase Phase) bool {
	t.tried = t.o.Clock()
	if !t.pulsed() {
		t.failed(errors.New("the decision loop did not turn"))
		return true
	}
	t.renew(ctx)
	try, cancel := context.WithTimeout(ctx, t.o.Timing.TryTimeout)
	defer cancel()
	t.foreign.unproven = t.prove(try, phase)
	if t.foreign.unproven != nil && try.Err() != nil {
		t.failed(t.foreign.unproven)
		t.checkTerm()
		return true
	}
	sent := t.o.Clock() // a holder stamps before it sends; and before the record is made: see WithdrawDomain
	data, err := t.record(phase).Encode()
	if err != nil {
		t.lose(err)
		return false
	}
	res, err := t.place.Write(try, data, t.version)
	t.notify.Beat(res.Outcome, t.o.Clock().HolderSince(sent))
	if mutate.Broken("stamp-at-receive") { // section 2: a holder stamps before it sends
		sent = t.o.Clock()
	}
	return t.follow(res, err, sent, phase)
}

// follow draws the conclusion of one try (W2, W3).
func (t *Tenure) follow(res Result, err error, sent clock.Stamp, phase Phase) bool {
	switch res.Outcome {
	case Committed:
		t.version = res.Version
		t.acknowledged(sent, phase)
		if t.foreign.unproven != nil {
			t.failed(t.foreign.unproven)
		}
	case KeyGone:
		t.lose(errKeyGone)
		return false
	case Moved:
		if !t.adopt(res.Current) {
			t.lose(errOverride)
			return false
		}
		if mutate.Broken("reread-extends") { // W2: a re-read cannot tell which try landed
			t.acknowledged(sent, phase)
		}
		t.failed(errors.New("an earlier try of ours had landed"))
	case Missing:
		t.version = Version{}
		t.failed(errors.New("the state record was removed; writing it again"))
	default:
		t.failed(err)
	}
	t.checkTerm()
	return true
}

// adopt takes over the version of our own content, of a try whose reply was lost. Content of another
// tenure is never adopted (W2).
func (t *Tenure) adopt(current Stored) bool {
	r, err := DecodeRecord(current.Data, t.o.Timing)
	ours := r.Token == t.token && r.Holder == t.o.Holder
	if err != nil || !ours && !mutate.Broken("adopt-other-tenure") { // W2: another tenure's content is LOST
		return false
	}
	t.version = current.Version
	return true
}

// acknowledged extends the lease from this try's own stamp, unless the tenure is lost already.
func (t *Tenure) acknowledged(sent clock.Stamp, phase Phase) {
	l, proven := t.leaseOf(sent)
	t.checkTerm()
	t.mu.Lock()
	recovered := t.state.tries >= loudTry && t.foreign.unproven == nil
	t.state.lastAck = sent
	if t.foreign.unproven == nil {
		t.state.tries = 0
	}
	close(t.state.acked)
	t.state.acked = make(chan struct{})
	extend := phase == Running && t.state.lost == nil && proven
	if t.state.running && t.foreign.place != nil && !l.Kill.Later(t.state.lease.Kill) {
		extend = false // the same proof as before
	}
	if extend {
		t.state.running, t.state.lease = true, l
	}
	t.mu.Unlock()
	if recovered {
		t.o.Warn("heartbeats are acknowledged again")
	}
	if extend {
		t.notify.Lease(l)
	}
}

// leaseUntil counts the other deadlines back from D (protocol.md section 2).
func leaseUntil(d clock.Stamp, tm Timing) Lease {
	kill := d.Add(-tm.KillBudget - tm.Margin)
	return Lease{Deadline: d, Kill: kill, Term: kill.Add(-tm.Grace)}
}

func (t *Tenure) failed(err error) {
	t.cause = err
	t.mu.Lock()
	t.state.tries++
	n := t.state.tries
	t.mu.Unlock()
	say := t.o.Log
	if n == loudTry {
		say = t.o.Warn
	}
	say("heartbeat try failed", "try", n, "cause", err)
}

// loudTry is the failed try in a row from which an operator hears of it: one lost reply is nobody's concern.
const loudTry = 2

// pulsed tells whether the decision loop turned recently enough.
func (t *Tenure) pulsed() bool {
	now := t.o.Clock()
	t.mu.Lock()
	defer t.mu.Unlock()
	return now.HolderSince(t.state.pulse) < t.o.Timing.Heartbeat+t.o.Timing.TryTimeout
}

// renew keeps session or lease alive beside the heartbeat, one request at a time.
func (t *Tenure) renew(ctx context.Context) {
	if !t.renewing.CompareAndSwap(false, true) {
		return
	}
	t.flight.Add(1)
	go func() {
		defer t.flight.Done()
		defer t.renewing.Store(false)
		try, cancel := context.WithTimeout(ctx, t.o.Timing.TryTimeout)
		defer cancel()
		if err := t.place.KeepAlive(try); err != nil && ctx.Err() == nil {
			t.o.Log("keep-alive failed", "cause", err)
		}
	}()
}

// record is what a heartbeat writes now. What is left is computed before the send (T4).
func (t *Tenure) record(phase Phase) Record {
	t.mu.Lock()
	domain := t.state.domain
	t.mu.Unlock()
	r := Record{
		V: recordVersion, Token: t.token, Holder: t.o.Holder, Node: t.o.Node, BootID: t.o.BootID,
		Phase: phase, SettleMS: ceilMS(t.o.Timing.Settle), Owes: t.in.owes, At: time.Now().UTC(),
	}
	switch phase {
	case Waiting:
		wait := t.left()
		if t.version == (Version{}) {
			// Absence is no version: it comes back when the record is removed again, and then a late try of
			// this write lands behind our `running`. So what creates the record says a whole wait.
			wait = max(wait, Scaled(t.o.Timing.Hold+t.in.settle))
		}
		if mutate.Broken("third-not-told") { // T4: a third contender is told what is left
			wait = 0
		}
		r.WaitMS, r.SettleMS = ceilMS(wait), ceilMS(t.in.settle)
	case Running:
		r.Volumes = t.volumes()
		r.WaitMS, r.Domain = ceilMS(t.o.Timing.Hold), domain
	}
	return r
}
