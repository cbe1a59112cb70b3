// Package s3 keeps a repository in a bucket: s3://bucket/prefix.
//
// Promise: Create has one winner, as far as the server honours If-None-Match (store.Probe finds out); what
// was written is what a whole Get gives, by SHA-256 both ways; "absent" is said only after the bucket itself
// has answered; every call ends, after a bounded number of tries of which each must make progress.
// Non-promise: a range is checked for its place and length alone, its bytes are the caller's to check; in a
// bucket with versions a deleted object still takes space. Called by cmd; the contract is internal/store's.
//
// minio-go makes and signs the requests; tries, time limits and verdicts are ours, since its own retries
// neither tell a lost reply from a refusal nor end by the clock. Nothing is ever uploaded in parts: the
// condition would be dropped on the way.
package s3
