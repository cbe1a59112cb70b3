package device

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/mountcheck/drain"
)

// work is one Up, Down or Cut.
type work struct {
	Spec
	state      *state
	rest       Rest
	uuid       string // of its filesystem, as found
	mmp        bool   // it has multiple-mount protection
	unreplayed bool   // its journal has not been replayed, as found
}

// A step is a line of the table. Its order is that of an Up; a Down goes backwards.
type step struct {
	name  string
	limit time.Duration
	done  func() (bool, error) // looks whether there is nothing to do; nil: always done anew
	do    func(context.Context) error
	undo  func(context.Context) error // nil: leaves nothing behind
}

func (w *work) steps() []step {
	return []step{
		{"clear what an earlier run left of", 3 * w.Limits.Detach, w.fresh, w.clear, nil},
		{"attach", w.Limits.Attach, w.attached, w.attach, w.detach},
		{"identify", w.Limits.Attach, w.mountedNow, w.identify, nil},
		{"look for other users of", w.Limits.Attach, w.mountedNow, w.unused, nil},
		{"repair", w.Limits.Repair, w.mountedNow, w.repair, nil},
		{"verify", w.Limits.Repair, w.verified, w.verify, nil},
		{"mount", w.Limits.Mount, w.mountedNow, w.mount, w.unmount},
		{"check the mount of", w.Limits.Mount, nil, w.isOurs, nil},
	}
}

// point is where a test kills.
func point(step, when string) {
	if breakpoint.On {
		breakpoint.At("device:" + strings.Fields(step)[0] + ":" + when)
	}
}

func (w *work) up(ctx context.Context) error {
	if err := w.pointReal(); err != nil {
		return err
	}
	for i, s := range w.steps() {
		err := w.one(ctx, s)
		if err == nil {
			continue
		}
		err = fmt.Errorf("cannot %s %s: %w", s.name, w.Path, err)
		// The caller's end must not keep us from cleaning up.
		return errors.Join(err, w.back(context.WithoutCancel(ctx), i))
	}
	return nil
}

func (w *work) one(ctx context.Context, s step) error {
	if s.done != nil {
		if done, err := s.done(); done || err != nil {
			return err
		}
	}
	if w.Tell != nil {
		w.Tell(s.name)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.limit(s), fmt.Errorf("not done within %v", w.limit(s)))
	defer cancel()
	point(s.name, "begin")
	err := s.do(ctx)
	point(s.name, "end")
	return err
}

// mmpLimit is the least that a step has whose filesystem has multiple-mount protection: the take-over of an
// unclean one took 44 s.
const mmpLimit = 2 * time.Minute

func (w *work) limit(s step) time.Duration {
	if w.mmp {
		return max(s.limit, mmpLimit)
	}
	return s.limit
}

// back undoes the steps before the one that failed, and what that one may have begun.
func (w *work) back(ctx context.Context, failed int) error {
	for i := failed; i >= 0; i-- {
		s := w.steps()[i]
		if s.undo == nil {
			continue
		}
		ctx, cancel := context.WithTimeoutCause(ctx, w.Limits.Detach, fmt.Errorf("not done within %v", w.Limits.Detach))
		err := s.undo(ctx)
		cancel()
		if err != nil {
			// What stands on it is still there: nothing below may be taken away.
			return fmt.Errorf("cannot undo %s of %s: %w: it is kept", s.name, w.Path, err)
		}
	}
	return nil
}

// down takes away what is on record as this tenure's. What an earlier one left is cut off: what it has in memory
// may be older by now than what is on the device.
func (w *work) down(ctx context.Context) error {
	rec := w.state.rec
	w.rest.Loose = rec.Loose
	switch {
	case !rec.Begun, rec.Lock != w.Tenure.Lock:
		w.rest.Synced = true
		return w.unaccounted()
	case rec.tenure() != w.Tenure:
		return w.downEarlier(ctx)
	}
	if now, err := w.mark(); err != nil || now != "" && rec.Mark != "" && now != rec.Mark {
		return errors.Join(err, w.unaccounted())
	}
	err := w.back(ctx, len(w.steps())-1)
	w.rest.Synced, w.rest.Loose = w.rest.Synced && err == nil, w.state.rec.Loose
	return err
}

func (w *work) downEarlier(ctx context.Context) error {
	_, err := w.whose()
	if errors.Is(err, errOthers) {
		return w.unaccounted()
	}
	err = w.cut(ctx)
	w.rest.Loose = w.state.rec.Loose
	return err
}

// clear cuts off what an earlier tenure left, and waits until nothing of it is on its way to the server any more:
// it would land on what is written from here on.
func (w *work) clear(ctx context.Context) error {
	server, err := netip.ParseAddrPort(w.state.rec.Export)
	remote := err == nil
	if err := w.cut(ctx); err != nil || !remote {
		return err
	}
	return w.gone(ctx, server)
}

func (w *work) gone(ctx context.Context, server netip.AddrPort) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		n, err := drain.Orphans(server)
		if err != nil || n == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d connections of it to %s are not closed, and what was sent may still land there: see whether the server runs and is reached", n, server)
		case <-tick.C:
		}
	}
}

// unaccounted is the refusal of a Down that has no account of what its own Up had attached; what is there now may
// be that, or somebody else's.
func (w *work) unaccounted() error {
	now, err := w.mark()
	if err != nil || now == "" || !w.WasUp {
		return err
	}
	return fmt.Errorf("it was attached by us, and the account of that, %s in %s, is gone or tells of another attachment: unmount and detach it by hand", stateFile, w.state.dir.Path())
}

// cut is Down for a device whose storage may be somebody else's by now. A device of the kernel's network block
// driver fails all that is under way, and all that comes, once it is disconnected.
func (w *work) cut(ctx context.Context) error {
	ours, err := w.whose()
	if err != nil {
		return err
	}
	mounted, err := w.mountedNow()
	if err != nil {
		return err
	}
	if ours && w.NBD.Host != "" {
		err = w.disconnect(ctx)
	} else if mounted {
		err = w.shutdown(ctx)
	}
	if err != nil && w.Tell != nil {
		w.Tell(fmt.Sprintf("go on although it could not be cut off (%v) with", err))
	}
	if err := w.release(ctx); err != nil {
		return fmt.Errorf("cannot unmount it: %w", err)
	}
	if w.NBD.Host == "" {
		return w.detach(ctx)
	}
	if err := w.waitDetached(ctx); err != nil {
		return w.detach(ctx)
	}
	return w.state.detached(true)
}
