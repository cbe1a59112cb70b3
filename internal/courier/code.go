package courier

import (
	"errors"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/internal/snapshot"
	"github.com/interlock-run/interlock/internal/store"
)

// Code is the exit code of what a store or a repository says; otherwise where it is of none of the known
// kinds.
func Code(err error, otherwise int) int {
	var known *exit.Error
	if errors.As(err, &known) {
		return known.Code
	}
	for _, c := range []struct {
		is   error
		code int
	}{
		{store.ErrCredentials, exit.Credentials},
		{snapshot.ErrIdentity, exit.Credentials},
		{snapshot.ErrFencedOff, exit.Lost},
		{snapshot.ErrScope, exit.Config},
		{snapshot.ErrForeign, exit.Config},
		{snapshot.ErrMissing, exit.Config},
		{store.ErrUnfenced, exit.Config},
		{store.ErrNoPlace, exit.Unreachable},
		{store.ErrUnreachable, exit.Unreachable},
		{store.ErrUnusable, exit.Unreachable},
		{store.ErrAmbiguous, exit.Unreachable},
		{store.ErrFull, exit.Unreachable},
		{snapshot.ErrUncertain, exit.Unreachable},
		{snapshot.ErrNoSnapshot, exit.NoSnapshot},
		{snapshot.ErrDamaged, exit.Damaged},
		{store.ErrDamaged, exit.Damaged},
	} {
		if errors.Is(err, c.is) {
			return c.code
		}
	}
	return otherwise
}

// exitError gives an error of an operation its exit code.
func exitError(err error, op string) error { return exit.With(Code(err, failureOf(op)), err) }

// failureOf is the code of a failure of an operation that is no known kind.
func failureOf(op string) int {
	switch op {
	case OpClaim:
		return exit.Unreachable
	case OpRestore, OpBackup, OpWarm, OpDump:
		return exit.Restore
	case OpUp, OpDown, OpCut:
		return exit.Mount
	}
	return exit.Internal
}
