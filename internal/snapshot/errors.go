package snapshot

import (
	"errors"
	"fmt"
)

// What callers branch on.
var (
	ErrDamaged    = errors.New("damaged")                                          // exit 65: an object that is not what it must be
	ErrMissing    = errors.New("no repository there")                              // the place answers, and holds none
	ErrForeign    = errors.New("not a repository that this release can read")      // another program's, or a newer format
	ErrNoSnapshot = errors.New("no such snapshot")                                 // exit 66
	ErrFencedOff  = errors.New("fenced off: a later holder has committed")         // exit 76
	ErrScope      = errors.New("the repository belongs to another lock")           // exit 78
	ErrParentGone = errors.New("the snapshot that this one builds on was removed") // begin anew
	ErrOutdated   = errors.New("begun too many commits ago")                       // begin anew
	ErrUncertain  = errors.New("it may have been committed")                       // ask the catalog before a second try
	ErrIdentity   = errors.New("no identity that opens it")                        // exit 77: an encrypted repository, read without one of its keys
	ErrChanged    = errors.New("changed while it was read")                        // a file that is not at rest
	ErrOrder      = errors.New("entries out of order")                             // a mistake of the caller
	ErrEntry      = errors.New("the format takes no such entry, leave it out")     // of a tree that is stored
)

// damaged makes an ErrDamaged with what is wrong.
func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...)
}
