// Package nfs holds the tests with the kernel's own NFSv4 server and a hard-mounted client, which run in a
// machine of their own (internal/vmtest).
//
// Promise: server and client are two network namespaces of one kernel with a link between them that can
// be cut. Non-promise: both share the kernel's memory and clock. There is nothing here but tests, behind
// the build tag vm.
package nfs
