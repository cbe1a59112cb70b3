// Package job is one dump or one load as a whole, between a cache and the snapshot repositories of its nodes.
//
// Promise: what a dump publishes is whole, and the dumps of other nodes stay as they are; a load takes the
// newest dump of each node, and of a ring only the keys that the clients put on this node, after the rule was
// compared with what the nodes held. A load that fails has overwritten nothing. Non-promise: it takes no lock
// and decides no readiness; a token that another lock gave is the caller's to look at. Called by
// cmd/interlock and internal/courier.
//
// Read dump.go, then choose.go (which dumps), share.go (which keys) and load.go.
package job
