// Package storetest is the suite that every store passes against the real thing, and the HTTP proxy that
// makes a real S3 server misbehave.
//
// Promise: Run asks for all that internal/store's contract says and that a caller relies on; each fault of
// the proxy hits requests that a real server would have served, or has served. Non-promise: it looks at no
// driver's inside. Called by the tests of the drivers and of what is built on them.
package storetest
