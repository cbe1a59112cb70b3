// Package load fills a memcached from the files of package item, so that it is warm before it is used.
//
// Promise: an item that is there already is never replaced; an item lives on for what is left of its life,
// right to a second, and not at all if that is over; nothing is sent that was not checked. What is loaded is
// the hottest that fits, with room to spare, and loading stops at the first eviction: memcached evicts what
// was stored first, which is the hottest, without a word. A lost connection costs nothing, and a server that
// restarted is loaded from the start. Non-promise: an item that a client deletes while we load can come back
// with its old value, so nobody should be using the server yet; where clients do (InUse), the first delete
// stops the load, and what is stored until it is seen, at most 8000 items, may undo it. A server that others fill at the same time
// may evict what was loaded in spite of all. Called by cmd/interlock.
//
// Read load.go (the order of a load), prepare.go, plan.go and slabs.go (what fits), store.go, worker.go and
// settle.go (the storing), watch.go (evictions), turn.go, protect.go.
package load
