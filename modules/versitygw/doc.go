// Package versitygw pins the S3 server that the tests of the snapshot store run against, as a tool of this
// module: the product's go.mod knows nothing of it.
//
// Promise: the go.sum here says which versitygw the tests have seen. Called by internal/testkit, which
// builds github.com/versity/versitygw/cmd/versitygw in this folder, once for each state of go.sum.
package versitygw
