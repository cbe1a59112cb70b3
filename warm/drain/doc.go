// Package drain gets the list of a memcached's keys without ever keeping the server waiting for its reader.
//
// A reader of lru_crawler metadump that stalls hangs every client of 1.6.18, and crashes 1.6.19 to 1.6.43.
// So the list is read by a process of its own that does nothing else: it reads, compresses, and appends to
// a file that has no name. It reports after every read; its parent kills it, and with it the connection,
// once nothing has been heard for a second.
//
// Promise: a stalled reader is gone within about a second, whatever stopped it; a list that does not end as
// the server ends it is ErrTorn, never a short list. Non-promise: it knows nothing of versions and of other
// readers: that there is one crawler command a server at a time is the caller's part (package dump), as is
// the next try. If parent and child are stopped together, nobody is left to kill. Called by dump; the
// program's main calls Main where argv[0] is Role.
package drain
