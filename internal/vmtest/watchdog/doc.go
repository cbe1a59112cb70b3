// Package watchdog holds the tests of what resets the machine (a watchdog, a run by itself), and of a wall
// clock that jumps, which run in a machine of their own (internal/vmtest).
//
// Promise: the reset is a real one of the whole kernel. Non-promise: it is that of softdog, a timer of the
// kernel itself, which cannot say afterwards that it was the cause, and ends with a kernel that hangs.
// There is nothing here but tests, behind the build tag vm.
package watchdog
