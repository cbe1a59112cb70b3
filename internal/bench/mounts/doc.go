// Package mounts measures how soon the built binary sees what happens to a mount, and what watching costs.
// Everything in it has the build tag bench; `make bench-mounts` runs it.
package mounts
