// Package drain gets the list of a memcached's keys without ever keeping the server waiting for its reader.
//
// A reader of lru_crawler metadump that stalls hangs every client of 1.6.18, and crashes 1.6.19 to 1.6.43.
// So the list is read by a process of its own that does nothing else: it reads, compresses, and appends to
// a file that has no name. It reports after every read; its parent breaks the connection and kills it
// once nothing has been heard for a second.
//
// The connection is made by the parent, which keeps a hold of it, and is broken by either of them, not by the reader's
// death: one that sleeps on a disk that hangs does not die.
//
// Promise: the server is rid of a stalled reader within about a second, whatever stopped it; who asked for the list waits
// for the reader's end for a bounded time; a list that does not end as the server ends it is ErrTorn, never a short
// list. Non-promise: it knows nothing of versions and of other readers: that there is one crawler command a server at a
// time is the caller's part (package dump), as is the next try. If parent and child are stopped together, or the parent
// is and the child is killed, nobody is left to break the connection. A disk that hangs before the list is begun keeps
// the parent waiting, and no server. Called by dump; the program's main calls Main where argv[0] is Role.
package drain
