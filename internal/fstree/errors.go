package fstree

import (
	"errors"
	"fmt"

	"github.com/interlock-run/interlock/internal/durable"
	"golang.org/x/sys/unix"
)

// Errors that callers branch on.
var (
	ErrChanged  = errors.New("changed while it was read") // also of a directory: names came or went
	ErrShrank   = errors.New("became shorter while it was read")
	ErrVanished = errors.New("vanished while it was read")
	ErrHostile  = errors.New("no entry of a sound snapshot")           // refused before anything is touched
	ErrForeign  = errors.New("is there already and not ours")          // nothing was overwritten
	ErrRefused  = errors.New("refused")                                // a mount, or a link in the way
	ErrSetup    = errors.New("this system lacks what fstree needs")    // kernel, seccomp, /proc
	errUnsorted = errors.New("entries are not in order of their path") // a stream that is not ours
)

// Moving tells whether an error says no more than that somebody was at work in the tree: a live backup
// notes it and goes on, any other fails.
func Moving(err error) bool {
	return errors.Is(err, ErrChanged) || errors.Is(err, ErrShrank) || errors.Is(err, ErrVanished)
}

// failed makes the one line of an error: what, where, why, what to do.
func failed(what, path string, err error) error {
	if _, told := errors.AsType[*hinted](err); told {
		return fmt.Errorf("%s %q: %w", what, path, err)
	}
	return &hinted{fmt.Errorf("%s %q: %w%s", what, path, err, hint(err))}
}

// A hinted error has said what to do: who adds to it does not say so again.
type hinted struct{ error }

// Unwrap gives what is below.
func (h *hinted) Unwrap() error { return h.error }

// hint has a word for what comes from the way in which paths are resolved here.
func hint(err error) string {
	switch {
	case errors.Is(err, unix.EXDEV):
		return ": it lies on another mount: unmount that, or allow to cross mounts"
	case errors.Is(err, unix.ELOOP):
		return ": a symbolic link lies where a directory or file is expected: end whatever works in the tree"
	case errors.Is(err, unix.ETXTBSY):
		return ": it is being executed: end that"
	}
	return durable.Hint(err)
}
