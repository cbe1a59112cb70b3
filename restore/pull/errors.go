package pull

import (
	"errors"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
)

// ErrCommand begins what is said of a command that a stream was piped to and that did not take it, or not well.
var ErrCommand = errors.New("restore command")

// coded gives an error the exit code of what went wrong; what is none of the store's is the restore's own.
func coded(err error) error {
	if err == nil {
		return nil
	}
	if _, has := errors.AsType[*exit.Error](err); has {
		return err
	}
	for _, row := range []struct {
		is   error
		code int
	}{
		{snapshot.ErrDamaged, exit.Damaged},
		{store.ErrDamaged, exit.Damaged},
		{snapshot.ErrForeign, exit.Damaged},
		{store.ErrNotFound, exit.Damaged}, // an object that the catalog vouches for
		{store.ErrCredentials, exit.Credentials},
		{snapshot.ErrIdentity, exit.Credentials},
		{store.ErrUnreachable, exit.Unreachable},
		{store.ErrNoPlace, exit.Unreachable},
		{store.ErrUnusable, exit.Unreachable},
	} {
		if errors.Is(err, row.is) {
			return exit.With(row.code, err)
		}
	}
	return exit.With(exit.Restore, err)
}
