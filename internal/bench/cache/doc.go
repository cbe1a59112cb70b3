// Package cache measures what dumping and loading a memcached costs, beside loops that do nothing but the
// protocol's own work, beside memcached-tool, and what the clients of the server notice. It runs with the build
// tag bench: go test -tags bench -run TestBench -v ./internal/bench/cache. BENCH_ITEMS (300000), BENCH_N (3
// rounds).
//
// Promise: all figures of a round come from one server in turn, so that ratios are of the same moment; the raw
// figure is the best of several shapes. Not promised: figures that hold on another machine or beside other
// load.
package cache
