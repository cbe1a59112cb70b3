// Package fstree reads a tree of files as a stream of entries, and makes a tree from such a stream.
//
// Promise: entries come in one defined order (Compare) and in bounded memory; nothing below the root is
// reached through a symbolic link, "..", or a mount that was not asked for, also when somebody swaps
// names meanwhile; what cannot be kept or restored is told as a Note, never passed over; a file that
// changes while it is read is an error of its own kind. Non-promise: it is no snapshot in time (freeze or
// stop the service for that); a write through a shared mapping shows only when the kernel stamps it; who
// may write into the tree as another user can make a restore fail, though not reach outside. It knows no
// chunks, hashes or stores. Called by internal/snapshot and the workers: it blocks as long as the
// filesystem does. Needs Linux 5.8 and /proc.
package fstree
