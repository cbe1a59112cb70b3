// Package dump reads all live items of a memcached into the files of package item, by hotness, without
// spoiling what it reads and without hurting those who use it.
//
// Promise: every item that the server listed is in the files or counted with the reason; a list that is not
// whole gives no files; reading leaves no trace in an item's hotness, and the token of a stale item, which
// any reader takes, is given back; there is one crawler command at a time by us, and none while an earlier
// one may be stalled. Lifetimes are absolute, right to a second. The rate yields to the latency of an idle
// connection. Non-promise: it is no picture of one moment: clients go on writing; get_hits and cmd_get of
// the server rise; if the process dies between taking a token and giving it back, that one item is not
// refilled until its time is over; dumpers on other hosts are not seen, the caller's lock keeps them away.
// Called by cmd/interlock; the program's main must call drain.Main for its role.
//
// Read dump.go and prepare.go (the order of a dump), list.go and merge.go (the listing), stream.go (reading while
// it is listed, where time is ample), bands.go and deal.go (hotness), fetch.go and keep.go (the reading), rate.go (how it yields).
package dump
