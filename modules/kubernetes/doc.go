// Package kubernetes holds what examples/kubernetes promises, as a test.
//
// Promise: an example with a field that the API does not know, or that breaks a rule of rules.go (a selector
// that matches nothing, a probe of a port that nobody opens, a grace below what a stop needs), fails
// `go test` with the rule's name. What interlock needs is asked of the built binary, on the very flags,
// variables and file of the example. Non-promise: no API server and no kubelet sees the examples here, so
// admission, scheduling and volumes are not tried. It is a module of its own, because the API's types are
// nothing that interlock itself should depend on. Called by nobody: there is only the test.
package kubernetes
