package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/interlock-run/interlock/internal/mutate"
)

// halt stops the loop and waits for its last try, so that the release is the last word (E3).
func (t *Tenure) halt() {
	if t.stop == nil {
		return
	}
	t.stop()
	<-t.ended
	t.flight.Wait()
}

// Release ends the tenure: the record says phase (Dead or Drained) in the transaction that deletes the
// own key (E2). Call it only when everything in the kill domain is proven dead, and with Drained only
// when the storage is drained too. started tells whether anything that can write was ever started in this
// tenure. Before the first acknowledged `running` write the record is left as it is and only the key goes.
// Ambiguous replies are repeated until ctx ends; ErrLost means that the key was gone before. It returns
// the phase that the record now says; empty where it was left as it was.
func (t *Tenure) Release(ctx context.Context, phase Phase, started bool) (Phase, error) {
	t.halt()
	t.mu.Lock()
	running := t.state.running
	t.mu.Unlock()
	if !running && !mutate.Broken("drained-in-hold-off") { // E2: only once the own hold-off has ended
		return "", t.leave(ctx)
	}
	r := t.parting(phase, started)
	r.Mark = t.mark(ctx)
	data, err := r.Encode()
	if err != nil {
		return "", err
	}
	return r.Phase, t.release(ctx, data)
}

// parting is the last record. Whoever was taken over undrained stays so, whatever became of our own: only
// one without such says drained (E2, E7).
func (t *Tenure) parting(phase Phase, started bool) Record {
	switch {
	case !started: // nothing of ours to drain
		r := t.record(Drained)
		if len(r.Owes) > 0 || t.in.unknown {
			r.Phase = Dead
		}
		return r
	case phase == Drained:
		r := t.record(Drained)
		if r.Owes = t.afterDrain(); len(r.Owes) > 0 {
			r.Phase = Dead
		}
		return r
	}
	r := t.record(Dead)
	r.Volumes = t.volumes()
	return r
}

func (t *Tenure) release(ctx context.Context, data []byte) error {
	ambiguous := false
	for {
		try, cancel := context.WithTimeout(ctx, t.o.Timing.TryTimeout)
		res, err := t.place.Release(try, data, t.version)
		cancel()
		switch res.Outcome {
		case Committed:
			return nil
		case KeyGone:
			if ambiguous { // an earlier try landed, or the key expired: gone either way
				return nil
			}
			return fmt.Errorf("%w: %w", ErrLost, errKeyGone)
		case Moved:
			if !t.adopt(res.Current) {
				return fmt.Errorf("%w: %w", ErrLost, errOverride)
			}
		case Missing:
			t.version = Version{}
		case Refused:
			return errors.Join(err, t.leave(ctx))
		default:
			ambiguous = true
			t.o.Log("release not acknowledged, trying again", "cause", err)
			pause(ctx, retryPause)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("release not acknowledged: the lock expires by itself, a successor waits the hold: %w", errors.Join(err, ctx.Err()))
		}
	}
}

// leave deletes the own key alone, the planned exit before anything could run.
func (t *Tenure) leave(ctx context.Context) error {
	for {
		try, cancel := context.WithTimeout(ctx, t.o.Timing.TryTimeout)
		err := t.place.Leave(try)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("could not delete the own lock key, it expires by itself: %w", err)
		}
		pause(ctx, retryPause)
	}
}

// Abandon stops renewing and writes nothing: the key expires and the successor waits the hold. It is for
// a kill that nobody can prove (E5).
func (t *Tenure) Abandon() { t.halt() }

// Init creates the record as drained, only if there is none, in the transaction that deletes its own key
// (section 6 of the protocol). It reports whether it created one. A lock that is held or queued for is
// ErrHeld.
func Init(ctx context.Context, d Driver, o Options) (created bool, existing Stored, err error) {
	place, err := d.Join(ctx)
	if err != nil {
		return false, Stored{}, err
	}
	if err := freeOrHeld(ctx, d, place, o); err != nil {
		leave(place, o)
		return false, Stored{}, err
	}
	t, stored, err := grantForInit(ctx, d, place, o)
	if err != nil || stored.Exists() && !mutate.Broken("init-over-live") { // section 6: only if absent
		leave(place, o)
		return false, stored, err
	}
	r := t.record(Drained)
	r.Mark = t.mark(ctx)
	data, err := r.Encode()
	if err != nil {
		leave(place, o)
		return false, Stored{}, err
	}
	return true, Stored{}, t.release(ctx, data)
}

func grantForInit(ctx context.Context, d Driver, place Place, o Options) (*Tenure, Stored, error) {
	short, cancel := context.WithTimeout(ctx, time.Duration(o.Timing.Tries)*o.Timing.TryTimeout)
	defer cancel()
	if err := place.Await(short, (&observations{}).saw); err != nil {
		switch {
		case short.Err() != nil:
			err = heldError(d, o.Timing)
		case errors.Is(err, ErrPlaceLost):
			err = fmt.Errorf("%w: %w: try again", ErrUnreachable, err)
		}
		return nil, Stored{}, err
	}
	token, err := tokenOf(place, o)
	if err != nil {
		return nil, Stored{}, err
	}
	stored, _, err := readUntil(short, place, o)
	return newTenure(place, token, stored.Version, o), stored, unanswered(err)
}
