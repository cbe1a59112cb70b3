// Package bench measures what interlock costs: its start and memory beside
// other wrappers, the hand-over between two contenders, and the time from a
// loss to the payload's death; and what many contenders that wait cost the
// service and each other. `make bench` and `make bench-queue` run it, with the
// build tag bench; without the tag only the arithmetic is built and tested.
//
// Promise: what is compared ran interleaved in one run; n is printed, and
// below 30 rounds nothing but minimum, median and maximum. A row of which one
// round failed shows the failure and no figures.
//
// Not promised: figures that hold on another machine. Only ratios of one run
// say something.
package bench
