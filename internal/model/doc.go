// Package model states the lease protocol and the link of guard and agent a second time, as two small
// state machines, and searches them for two payloads that overlap.
//
// Promise: it imports nothing of the product, so that a mistake there is not repeated here. With every rule
// of docs/protocol.md in force no reachable state breaks an invariant; with any one rule dropped the search
// finds a state that does, and prints the shortest way there as a story. Non-promise: it checks the rules,
// not the code that follows them; what is abstracted away is listed in docs/model.md. Called by nobody: its
// tests are what it is for.
//
// Read lease_state.go first, then one file a topic: lease_clock, lease_store, lease_try, lease_takeover,
// lease_payload, lease_operator; lease_next lists every step. The same for guard_. search.go knows neither.
package model
