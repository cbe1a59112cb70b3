// Package dir keeps a repository in a directory: file:///dir.
//
// Promise: an object appears under its key whole and synced, or not at all; Create has one winner also
// among hosts on NFS, by link(2); nothing outside the directory is ever read or written, whatever symbolic
// links lie in it; the directory itself is never made. Non-promise: a call blocks as long as the
// filesystem does, so it belongs into a worker; a filesystem without hard links is refused at the first
// Create. Called by cmd; the contract is internal/store's.
//
// Half-written files lie in .tmp, each locked by its writer. Removing one too early costs that writer an
// error and nothing else, since what is published is a second name of the finished file.
package dir
