// Package minio pins MinIO for the long form of the snapshot store's tests, as a tool of this module.
//
// Promise: the go.sum here says which MinIO the tests have seen. Called by internal/testkit, which builds
// github.com/minio/minio in this folder, once for each state of go.sum.
package minio
