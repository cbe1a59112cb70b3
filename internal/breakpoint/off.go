//go:build !breakpoints

// Package breakpoint names the points at which a test may kill or stop a process.
//
// Promise: without the build tag "breakpoints" nothing of it is left in the binary, not even the names;
// no environment is read. Non-promise: it is no fault injection for production. Called by whatever must
// survive a kill at any point: durable, restore.
package breakpoint

// On tells whether this build has break points. Guard names that are put together at run time with it.
const On = false

// At does nothing in this build.
func At(string) {}
