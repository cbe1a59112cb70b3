package restore

import (
	"errors"
	"fmt"
	"time"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/internal/durable"
)

// Begin makes everything ready for the script to start: it looks again, refuses unless the decision is
// still the one that was made, cleans up if that was decided, and records the restore as begun. The
// script may start only after Begin returned nil.
func Begin(t Target, want Decision) error {
	if want.Action != Run && want.Action != Resume {
		return fmt.Errorf("%w: nothing to begin: decision is %q: %s", ErrRefused, want.Action, want.Reason)
	}
	if t.Token == 0 {
		return fmt.Errorf("%w: no fencing token: it is begun by a holder only", ErrRefused)
	}
	return withState(t, func(d *durable.Dir) error { return begin(d, t, want) })
}

// withState runs f with the state directory open and locked.
func withState(t Target, f func(*durable.Dir) error) error {
	d, err := durable.OpenOrMake(t.StateDir)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	err = d.Lock()
	if err == nil {
		err = f(d)
	}
	return errors.Join(err, d.Close())
}

func begin(d *durable.Dir, t Target, want Decision) error {
	look := Inspect(t.Data, t.StateDir, t.Token)
	got := Decide(look, t.When, true)
	if got.Action != want.Action || got.Cleanup != want.Cleanup {
		return fmt.Errorf("%w: decided was %q, but now it is %q: %s", ErrRefused, want.Action, got.Action, got.Reason)
	}
	s := State{
		Data: look.Rel, Path: t.Data, Inode: look.Inode, When: t.When,
		Token: t.Token, Holder: t.Holder, Started: time.Now(),
	}
	if t.When == WhenEmpty {
		if err := emptied(d, t, s, want.Cleanup); err != nil {
			return err
		}
	}
	s.Phase = PhaseRestoring
	if err := storeState(d, s); err != nil {
		return err
	}
	breakpoint.At("restore:state")
	return nil
}

// emptied sees to it that everything in the data directory from now on came after a record that says
// empty: the record first, then the look. While it cleans up, the older record goes on standing.
func emptied(d *durable.Dir, t Target, s State, cleanup bool) error {
	if cleanup {
		if err := clean(t.Data, t.StateDir, s.Inode); err != nil {
			return err
		}
		breakpoint.At("restore:cleaned")
	} else {
		s.Phase = PhaseEmpty
		if err := storeState(d, s); err != nil {
			return err
		}
		breakpoint.At("restore:recorded")
	}
	return stillEmpty(t, s.Inode)
}

// stillEmpty looks again, after the record.
func stillEmpty(t Target, inode uint64) error {
	now := Inspect(t.Data, t.StateDir, t.Token)
	if now.Dir != DirEmpty || now.Inode != inode {
		return fmt.Errorf("%w: data directory %q: expected to find it empty, but it is %s (%s): end whatever writes into it", ErrRefused, t.Data, now.Dir, now.Detail)
	}
	return nil
}
