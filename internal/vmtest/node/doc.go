// Package node holds the tests of a whole machine that dies or stands still while it holds the lock, seen
// from the machine that takes over: the host of the tests (internal/vmtest).
//
// Promise: the kernel, the guard and everything else of the old holder go at once, without a word, and its
// clock with them. Non-promise: lock service and successor share the host. There is nothing here but tests,
// behind the build tag vm.
package node
