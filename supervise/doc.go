// Package supervise is the guard, the top process that starts everything which may touch the data and
// ends it in time, and the agent's end of the link to it (Link).
//
// Promise: a process of the kill domain runs only between a go that was given before the deadline and
// the deadline itself; "empty" and "dead" are said only after the death was proven; the guard exits
// only after that. Guard and agent watch each other: either one's death or silence ends the domain.
//
// Non-promise: it knows nothing of locks; without a PID namespace or a cgroup it cannot prove anything
// once the guard itself has died; a stall of the whole host across the deadline is outside (A4). Of the
// signals that were ignored when we started only HUP and INT reach the payload so, and of the blocked
// ones all but HUP, INT, QUIT, ABRT and TERM: Go's runtime changes the others before any code can look.
//
// Called by internal/role (Guard, NamespaceInit, Gate, Spare, each the whole of its process) and by
// internal/lifecycle in the agent (Connect). It must stay light: what it imports is initialised
// before any role can run.
package supervise
