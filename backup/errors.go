package backup

import "errors"

// What callers branch on, beside the errors of package snapshot (ErrChanged is a file that was not at
// rest) and of the store. With each of them nothing was published.
var (
	ErrSource  = errors.New("cannot be backed up so")                      // a mistake in what was asked for; exit 64
	ErrTool    = errors.New("a program is not installed")                  // or cannot be started
	ErrCommand = errors.New("the command did not succeed")                 // dump, freeze or verify command
	ErrEmpty   = errors.New("nothing to back up")                          // an empty stream or directory
	ErrShrunk  = errors.New("much smaller than the snapshot before")       // refused unless it is allowed
	ErrReflink = errors.New("the filesystem cannot clone files")           // or staging lies on another one
	ErrBusy    = errors.New("another backup is at work in this directory") // the scratch directory's lock is taken
)
