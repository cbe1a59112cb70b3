package restore

import (
	"fmt"
	"time"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/internal/durable"
)

// StartTenure records that the tenure of t starts on this data: whether the data was restored, kept,
// adopted, or is empty for a first start. Later it tells whether another tenure has published since. It
// comes right before the payload starts, and again does no harm.
func StartTenure(t Target) error {
	if t.Token == 0 {
		return fmt.Errorf("%w: no fencing token: only a holder starts a tenure", ErrRefused)
	}
	return withState(t, func(d *durable.Dir) error {
		l := Inspect(t.Data, t.StateDir, t.Token)
		if why := l.Unusable(); why != "" {
			return fmt.Errorf("%w: %s", ErrRefused, why)
		}
		s := l.State
		if l.Found && s.Phase != PhaseClean {
			return fmt.Errorf("%w: a restore is unfinished (%s): nothing starts on it", ErrRefused, began(s))
		}
		now := time.Now()
		if !l.Found || s.Inode != 0 && s.Inode != l.Inode {
			s = State{Data: l.Rel, Path: t.Data, When: whenAdopted, Phase: PhaseClean, Token: t.Token, Holder: t.Holder, Started: now, Ended: now}
		}
		s.Inode, s.Last = l.Inode, Tenure{Token: t.Token, Holder: t.Holder, Since: now}
		if err := storeState(d, s); err != nil {
			return err
		}
		breakpoint.At("restore:tenure")
		return nil
	})
}
