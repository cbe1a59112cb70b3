//go:build !mutate

// Package mutate names the rules that a test build can break, one at a time, so that the fault injection
// shows that its checkers would notice.
//
// Promise: without the build tag "mutate" nothing of it is left in the binary, not even the names; no
// environment is read. Non-promise: it is nothing to configure. Called where a rule of docs/protocol.md is
// kept.
package mutate

// Broken is always false in this build, so that the compiler drops what hangs on it.
func Broken(string) bool { return false }

// OnPooledThread just runs f in this build, and is not in the binary either.
func OnPooledThread(f func()) { f() }
