package device

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// work is one Up or Down.
type work struct {
	Spec
	state *state
	rest  Rest
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
		{"attach", w.Limits.Attach, w.attached, w.attach, w.detach},
		{"identify", w.Limits.Attach, w.mounted, w.identify, nil},
		{"look for other users of", w.Limits.Attach, w.mounted, w.unused, nil},
		{"repair", w.Limits.Repair, w.mounted, w.repair, nil},
		{"verify", w.Limits.Repair, w.mounted, w.verify, nil},
		{"mount", w.Limits.Mount, w.mounted, w.mount, w.unmount},
		{"check the mount of", w.Limits.Mount, nil, w.isOurs, nil},
	}
}

func (w *work) up(ctx context.Context) error {
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
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	return s.do(ctx)
}

// back undoes the steps before the one that failed, and what that one may have begun.
func (w *work) back(ctx context.Context, failed int) error {
	for i := failed; i >= 0; i-- {
		s := w.steps()[i]
		if s.undo == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, w.Limits.Detach)
		err := s.undo(ctx)
		cancel()
		if err != nil {
			// What stands on it is still there: nothing below may be taken away.
			return fmt.Errorf("cannot undo %s of %s: %w: it is kept", s.name, w.Path, err)
		}
	}
	return nil
}

func (w *work) down(ctx context.Context) error { return w.back(ctx, len(w.steps())-1) }
