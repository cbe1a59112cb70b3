// Package cache measures what dumping and loading a memcached costs, beside loops that do nothing but the
// protocol's own work, beside memcached-tool, and what the clients of the server notice. It runs with the build
// tag bench, as make bench-cache. BENCH_ITEMS (300000) and BENCH_N (5 rounds) are of all parts, BENCH_SECONDS
// (10) of a round of clients' latency, BENCH_LARGE (5000000 items) of the server whose dump's memory is measured,
// BENCH_CURVE_SECONDS (60) of the curve that is drawn into docs/warm-curve.svg.
//
// Promise: all figures of a round come from one server in turn, so that ratios are of the same moment; the raw
// figure is the best of several shapes; a missed aim is printed as such. Not promised: figures that hold on
// another machine or beside other load.
package cache
