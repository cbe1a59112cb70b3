// Package stored keeps a cache's content in a snapshot repository: a snapshot of mode cache, which holds the
// files of package item and nothing else.
//
// Promise: what Save has published is a whole dump; Open reads it straight from the store, part by part, so
// that a load needs no space on a disk, and every byte is verified twice, by the repository and by the parts'
// own sums. Non-promise: it chooses no snapshot, keeps no retention, and takes no lock: who commits is the
// caller's Holder. Called by cmd/interlock.
package stored
