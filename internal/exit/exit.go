// Package exit is the one table of interlock's own exit codes, and the error that carries one.
//
// Promise: a code means one thing, everywhere, for ever; documentation and help are made from the table.
// Non-promise: the payload's own code passes through unchanged, so a payload that exits with one of these
// numbers cannot be told apart by the number alone: the reason file and the log tell. Called by
// cmd/interlock and internal/lifecycle.
package exit

import (
	"errors"
	"fmt"
)

// The codes, with the names of sysexits(3) where there is one.
const (
	OK           = 0
	Usage        = 64
	Damaged      = 65
	NoSnapshot   = 66
	Unreachable  = 69
	Internal     = 70
	Mount        = 72
	Restore      = 73
	MountLost    = 74
	Held         = 75
	Lost         = 76
	Credentials  = 77
	Config       = 78
	CannotRun    = 126
	NotFound     = 127
	signalOffset = 128
)

// Error is an error with the exit code that it should lead to. A nil Err means that there is nothing to
// say: the code is the payload's own.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// With gives err an exit code; the outermost code counts. A nil err stays nil.
func With(code int, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Err: err}
}

// Withf is With for a new message.
func Withf(code int, format string, args ...any) error {
	return With(code, fmt.Errorf(format, args...))
}

// Status carries a payload's own code, about which there is nothing to say; nil for 0.
func Status(code int) error {
	if code == OK {
		return nil
	}
	return &Error{Code: code}
}

// Signaled is the code of a payload that signal number n ended.
func Signaled(n int) int { return signalOffset + n }

// Code is the exit code that err leads to: 0 for none, Internal where nobody gave one.
func Code(err error) int {
	if err == nil {
		return OK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// Silent tells whether err has nothing to say beyond its code.
func Silent(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Err == nil
}
