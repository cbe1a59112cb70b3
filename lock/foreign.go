package lock

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
)

// A SharedPlace is a Place in a queue that other programs use, too (Settings.Foreign, protocol.md section
// 6). They know no state record: between them and us only the order of the queue counts, and the server's
// timer, which must be proven to have been reset.
type SharedPlace interface {
	// Reset has the server count the time of the own key anew, and proves that it did, in one try. An
	// error proves nothing.
	Reset(ctx context.Context) (Proof, error)
	// Mark is what a release puts on record for the successor's Unbroken; 0 where the driver needs nothing.
	Mark(ctx context.Context) (int64, error)
	// Unbroken tells whether it is proven that no other program held the lock between the record that e
	// describes and the own grant. What cannot be told is false.
	Unbroken(ctx context.Context, e Evidence) (bool, error)
}

// A Proof says that by its own clock the server keeps the own key for For, counted from a moment that is
// not before From.
type Proof struct {
	From clock.Stamp
	For  time.Duration
}

// Evidence is what a record says of the moment at which it was written.
type Evidence struct {
	Version Version
	Token   int64 // raw, of its writer
	Mark    int64
}

// ForeignAhead refuses the key of another program ahead of ours, while foreign peers are not permitted.
func ForeignAhead(w Waiter) error {
	value := "it says nothing about itself"
	if w.Holder != "" {
		value = fmt.Sprintf("its value: %q", w.Holder)
	}
	return fmt.Errorf("%w: key %s ahead of ours was made by another program (%s): it knows no state record and may not die in time: end it, take another path, or permit foreign peers with --foreign-peers (what that cannot promise: docs/locks.md)",
		ErrConfig, w.Key, value)
}

// foreign is what a tenure needs beside contenders that are other programs.
type foreign struct {
	place    SharedPlace   // nil: all contenders are interlocks
	proof    Proof         // the latest; only the loop touches it and the next
	unproven error         // why this heartbeat proves nothing
	from     clock.Stamp   // when the record was read after the grant
	owed     time.Duration // from then on, for another program that may have held before us
}

// left is what is owed for another program.
func (f foreign) left(now clock.Stamp) time.Duration { return f.owed - now.SuccessorSince(f.from) }

// mindForeign is section 6: unless nobody else can have held the lock since the record was written, the own
// hold is owed from the grant on, whatever the record says, and for somebody that no fence covers.
func (t *Tenure) mindForeign(ctx context.Context, r Record, v Version, readAt clock.Stamp) {
	if !t.maybeBetween(ctx, r, v) {
		return
	}
	t.foreign.from, t.foreign.owed = readAt, Scaled(t.o.Timing.Hold+t.o.Timing.Settle)
	t.in.why += "; another program may have held the lock since, so the own hold from the grant on"
	t.in.settle = max(t.in.settle, t.o.Timing.Settle)
	t.in.unknown = true
	if !slices.ContainsFunc(t.in.owes, isUnknown) {
		t.in.owes = append(t.in.owes, Owed{Unknown: true})
	}
}

// maybeBetween tells whether another program may have held the lock between the record and our own grant.
func (t *Tenure) maybeBetween(ctx context.Context, r Record, v Version) bool {
	if t.foreign.place == nil {
		return false
	}
	try, cancel := context.WithTimeout(ctx, t.o.Timing.TryTimeout)
	defer cancel()
	unbroken, err := t.foreign.place.Unbroken(try, Evidence{Version: v, Token: r.Token.Raw(), Mark: r.Mark})
	if err == nil && unbroken {
		return false
	}
	t.o.Log("not proven that nobody held the lock since the state record was written", "cause", err)
	return true
}

// prove has the server's timer reset, when the latest proof would be too old for the heartbeat after this
// one and its n tries. Before the first `running` heartbeat nothing runs that it would have to cover.
func (t *Tenure) prove(ctx context.Context, phase Phase) error {
	if t.foreign.place == nil || phase != Running || !t.proofDue() {
		return nil
	}
	p, err := t.foreign.place.Reset(ctx)
	if err != nil {
		return fmt.Errorf("the server's timer is not proven to be reset: %w", err)
	}
	t.foreign.proof = p
	return nil
}

func (t *Tenure) proofDue() bool {
	p, tm := t.foreign.proof, t.o.Timing
	age := t.o.Clock().HolderSince(p.From)
	need := tm.Heartbeat + time.Duration(tm.Tries)*tm.TryTimeout + tm.KillBudget + tm.Margin
	return age+need >= usable(p.For)
}

// leaseOf counts the deadlines from the send stamp of a `running` write, and beside foreign peers from the
// latest proof, whichever comes first; without a proof there is no lease. They do not wait for a grace
// either (E1).
func (t *Tenure) leaseOf(sent clock.Stamp) (Lease, bool) {
	d, tm := sent.Add(t.o.Timing.Usable()), t.o.Timing
	if t.foreign.place == nil {
		return leaseUntil(d, tm), true
	}
	tm.Grace = 0
	p := t.foreign.proof
	limit := p.From.Add(usable(p.For))
	d = clock.Stamp{Boot: min(d.Boot, limit.Boot), Raw: min(d.Raw, limit.Raw)}
	return leaseUntil(d, tm), p.For > 0
}

// mark is what the release leaves for the successor's proof; without it that one waits.
func (t *Tenure) mark(ctx context.Context) int64 {
	if t.foreign.place == nil {
		return 0
	}
	try, cancel := context.WithTimeout(ctx, t.o.Timing.TryTimeout)
	defer cancel()
	m, err := t.foreign.place.Mark(try)
	if err != nil {
		t.o.Log("the release carries no proof that nobody comes between; the successor waits its hold", "cause", err)
		return 0
	}
	return m
}
