// Package testkit holds what the tests of several packages share: real
// ZooKeeper and etcd servers on loopback, the built binary, a TCP proxy that
// misbehaves on demand, processes that cannot outlive the test, and a check
// that a test process leaves nothing behind.
//
// Promise: a server handed out has answered a real request; a process started
// here dies with the test process, also when that is killed with SIGKILL; a
// missing server is skipped loudly and recorded, never passed over.
//
// Not promised: ports stay ours only while their server runs (a restart tries
// again when another program took the port), and mounts or cgroups of test
// processes that run at the same time cannot always be told from ours.
//
// Imported by _test files and the test runner only, and it imports nothing of the product.
package testkit
