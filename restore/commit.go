package restore

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/interlock-run/interlock/internal/breakpoint"
	"github.com/interlock-run/interlock/internal/durable"
	"golang.org/x/sys/unix"
)

// Commit ends the restore that this tenure began: it syncs the filesystem of the data, then records the
// restore as clean. It returns what is there now, for the log. Write errors that another process was
// already told of are not seen by the sync: the script has to check its own.
func Commit(t Target) (Look, error) {
	var look Look
	err := withState(t, func(d *durable.Dir) error {
		look = Inspect(t.Data, t.StateDir, t.Token)
		if err := mayCommit(look); err != nil {
			return err
		}
		if err := syncData(t.Data); err != nil {
			return err
		}
		breakpoint.At("restore:commit")
		s := look.State
		s.Phase, s.Ended = PhaseClean, time.Now()
		return storeState(d, s)
	})
	return look, err
}

func mayCommit(l Look) error {
	if d := cannot(l); d.Action == Refuse {
		return fmt.Errorf("%w: %s", ErrRefused, d.Reason)
	}
	if !l.Found || l.State.Phase != PhaseRestoring || l.State.Token != l.Ours {
		return fmt.Errorf("%w: state file says found=%v phase=%q token=%s: expected phase %s of our token %s: run it again", ErrRefused, l.Found, l.State.Phase, l.State.Token, PhaseRestoring, l.Ours)
	}
	return nil
}

func syncData(path string) error {
	f, err := openDir(path)
	if err != nil {
		return fmt.Errorf("sync data: %w%s", err, durable.Hint(err))
	}
	err = unix.Syncfs(int(f.Fd()))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("sync data: %w%s", &os.PathError{Op: "syncfs", Path: path, Err: err}, durable.Hint(err))
	}
	return nil
}
