// Package restore decides whether the data must be restored before the payload starts, and makes a
// scripted restore a transaction by a state file in the state directory.
//
// Promise: a restore that was killed at any point is seen as unfinished by the next holder, and repeated
// or refused, never started on. Before it is repeated, only what came into the data directory after our
// own state file had recorded it as empty is removed; no symbolic link is followed and no mount point is
// crossed. What cannot be read is unknown, and unknown is refused. Non-promise: a state file that is
// lost together with its state directory takes the knowledge of an unfinished restore with it: a
// directory that is half full then looks like one that somebody filled on purpose, and is adopted. The
// script must fill the directory, not put another one in its place. Called by internal/worker, except
// Decide, StateDirFor and CheckStateDir, which are pure. Restores from a snapshot store keep the same account
// through a Session; package restore/pull makes them.
package restore

import (
	"errors"

	"github.com/interlock-run/interlock/fence"
)

// Values of restore.when.
const (
	WhenEmpty  = "empty"
	WhenAlways = "always"
	WhenNever  = "never"
)

// Values of State.When that no setting has.
const (
	whenReplace = "replace" // restored from the store over what was there: that may be removed
	whenAdopted = "adopted" // nothing was restored: a tenure started on what was there
)

// Errors that callers branch on.
var (
	ErrRefused = errors.New("restore refused")           // exit 73
	ErrState   = errors.New("state of restore unusable") // exit 73: there, but not to be understood
)

// A Target is what one tenure restores, and where it keeps account.
type Target struct {
	Data     string      // data directory, absolute; never created here
	StateDir string      // absolute
	Token    fence.Token // ours
	Holder   string
	When     string // restore.when
}
