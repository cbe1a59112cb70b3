// Package pull fills a data directory from a snapshot store: it chooses what a start restores, restores a
// tree of files in place, and pipes a stream into the command that loads it.
//
// Promise: a decision is a pure function of what the directory, its state file and the catalog say, and a
// store that does not answer is never an empty one. A restore that was killed at any point is unfinished
// for every later start, and goes on in place; until its very end the service's start sentinels are not
// there under their names; it is called clean only once every byte was compared with its hash, the whole
// manifest with the catalog, and all of it was synced. Only what our own state file gave up is removed.
// Non-promise: it takes no lock and commits nothing to the store (claim before you choose); a stream's
// command must see to the durability of what it writes elsewhere than on the data's filesystem; what
// another process writes into the directory meanwhile is not noticed. Called by internal/courier (the store
// worker of a run) and cmd/interlock (restore).
//
// Order of calls in a run: Repository.Claim, restore.Inspect, Choose, Run if Choice.Restores, and
// restore.StartTenure right before the payload starts, also where nothing was restored.
package pull
