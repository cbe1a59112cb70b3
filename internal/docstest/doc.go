// Package docstest holds what README and docs promise about themselves, as a test.
//
// Promise: a link that leads nowhere, a rule of the protocol that the trace leaves out, a file, function or
// test that it names and that does not exist, a metric or mount finding that the manual leaves out, and a
// README that has grown too long fail `go test`. Non-promise: whether what the documents say is true, and
// whether a named test would really fail without its rule, is for people. Called by nobody.
package docstest
