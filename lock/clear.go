package lock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Errors of Clear, besides those of Contend.
var (
	ErrNotCovered   = errors.New("not everybody who is owed was fenced")
	ErrNotConfirmed = errors.New("not confirmed")
	ErrNoRecord     = errors.New("there is no state record")
)

// UnknownNode names, to Clear, the holder that nobody knows: one whose record was lost or names no node, and,
// beside foreign peers, another program that may have held the lock since the record was written.
const UnknownNode = "unknown"

// Outstanding are the nodes that a record's writer and its owes name, each once, the writer's first; the
// unknown holder as UnknownNode. None where the record says drained.
func (r Record) Outstanding() []string {
	if r.Phase == Drained {
		return nil
	}
	var nodes []string
	for _, o := range append([]Owed{{Node: r.Node}}, r.Owes...) {
		name := o.Node
		if o.Unknown || name == "" {
			name = UnknownNode
		}
		if !slices.Contains(nodes, name) {
			nodes = append(nodes, name)
		}
	}
	return nodes
}

// Clear turns the record into drained, for an operator who fenced whole nodes by hand (section 6 of the
// protocol): only if they cover the writer and every entry of owes, only with the lock in hand, in the
// transaction that deletes our own key, and only the very version that confirm was shown. It reports whether
// there was anything to clear. A lock that is held or queued for is ErrHeld: a holder that lives has its key.
// confirm may take its time, up to its context's end; the lock is kept meanwhile.
func Clear(ctx context.Context, d Driver, o Options, fenced []string, confirm func(context.Context, Record) error) (cleared bool, was Record, err error) {
	place, err := d.Join(ctx)
	if err != nil {
		return false, Record{}, err
	}
	if err := freeOrHeld(ctx, d, place, o); err != nil {
		leave(place, o)
		return false, Record{}, err
	}
	t, stored, err := grantForInit(ctx, d, place, o)
	if err == nil {
		was, err = t.mayClear(ctx, stored, fenced)
	}
	if err == nil && was.Phase != Drained {
		err = t.holdWhile(ctx, func() error { return confirm(ctx, was) })
	}
	if err != nil || was.Phase == Drained {
		leave(place, o)
		return false, was, err
	}
	r := t.record(Drained)
	r.Mark = t.mark(ctx)
	data, err := r.Encode()
	if err != nil {
		leave(place, o)
		return false, was, err
	}
	return true, was, t.replace(ctx, data)
}

// mayClear is what no confirmation can replace.
func (t *Tenure) mayClear(ctx context.Context, stored Stored, fenced []string) (Record, error) {
	if !stored.Exists() {
		return Record{}, fmt.Errorf("%w: nothing to clear; a first start is spared its wait by `interlock lock init`", ErrNoRecord)
	}
	r, err := DecodeRecord(stored.Data, t.o.Timing)
	switch {
	case err != nil:
		return r, err
	case r.Token > t.token:
		return r, fmt.Errorf("%w: ours would be %s but %s on node %s had %s: was the lock service rebuilt or restored? then raise --token-epoch above %d on every node",
			ErrTokenBack, t.token, r.Holder, r.Node, r.Token, max(t.o.Epoch, r.Token.Epoch()))
	case r.Phase == Drained:
		return r, nil
	}
	owed := r.Outstanding()
	if t.maybeBetween(ctx, r, stored.Version) && !slices.Contains(owed, UnknownNode) {
		owed = append(owed, UnknownNode)
	}
	missing := slices.DeleteFunc(slices.Clone(owed), func(n string) bool { return slices.Contains(fenced, n) })
	if len(missing) > 0 {
		return r, fmt.Errorf("%w: %s still missing: fence each whole node, then name them all", ErrNotCovered, strings.Join(missing, ", "))
	}
	for _, n := range fenced {
		if !slices.Contains(owed, n) {
			return r, fmt.Errorf("%w: %s is not on record, which names %s", ErrNotCovered, n, strings.Join(owed, ", "))
		}
	}
	return r, t.notThisBoot(r)
}

// notThisBoot refuses what cannot be true: that this machine was fenced since it came up.
func (t *Tenure) notThisBoot(r Record) error {
	for _, o := range append([]Owed{{Node: r.Node, BootID: r.BootID}}, r.Owes...) {
		if !o.Unknown && o.BootID == t.o.BootID {
			return fmt.Errorf("%w: node %s is this very machine, which is up since before that holder ran: it was not fenced; start a contender here, or reboot first", ErrNotCovered, o.Node)
		}
	}
	return nil
}

// holdWhile keeps the lock while an operator reads and types.
func (t *Tenure) holdWhile(ctx context.Context, do func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(t.o.Timing.Heartbeat)
		defer tick.Stop()
		for ctx.Err() == nil {
			t.place.Pulse()
			t.renew(ctx)
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	err := do()
	cancel()
	<-ended
	t.flight.Wait()
	return err
}

// replace is release without the second thoughts of a holder: a record that moved is not the one that was
// confirmed.
func (t *Tenure) replace(ctx context.Context, data []byte) error {
	try, cancel := context.WithTimeout(ctx, t.o.Timing.TryTimeout)
	defer cancel()
	res, err := t.place.Release(try, data, t.version)
	switch res.Outcome {
	case Committed:
		return nil
	case KeyGone:
		return fmt.Errorf("%w: our lock key went meanwhile: nothing was changed, try again", ErrLost)
	case Moved, Missing:
		leave(t.place, t.o)
		return fmt.Errorf("%w: the record changed since it was shown: nothing was changed, look again", ErrHeld)
	}
	leave(t.place, t.o)
	return fmt.Errorf("%w: not known whether the record was changed, `interlock lock show` tells: %w", ErrUnreachable, err)
}
