// Package nbd holds the tests with the kernel's own network block device, ext4 on it and nbdkit as server,
// which run in a machine of their own (internal/vmtest).
//
// Promise: device and server are two network namespaces of one kernel with a link between them that can be
// cut. Non-promise: both share the kernel's memory and clock. There is nothing here but tests, behind the
// build tag vm.
package nbd
