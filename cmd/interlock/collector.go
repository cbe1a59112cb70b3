package main

import (
	"runtime/debug"
	"time"
)

// The agent's start allocates more than what the garbage collector waits for by default, and a collection
// in the middle of it takes 2 of some 20 milliseconds from the payload's start. Within startTime it may use
// up to heapAtStart percent of the default minimum, 16 MiB; then heapUsual is in force, the default. A GOGC in
// the environment is meant for a payload that is a Go program, which still gets it: with "off" the agent
// would grow until the kernel kills it, and the payload ends with it.
const (
	startTime   = time.Second
	heapAtStart = 400
	heapUsual   = 100
)

// collectLater puts collections off for the time of the start. What it returns ends that time.
func collectLater() (now func()) {
	debug.SetGCPercent(heapAtStart)
	t := time.AfterFunc(startTime, func() { debug.SetGCPercent(heapUsual) })
	return func() { t.Stop() }
}

// heapMost is where the collector begins to work hard for those who move a store's objects: their buffers
// are 44 MiB at most, and with code and stacks all of the process stays below 100 MiB.
const heapMost = 64 << 20

// boundHeap lets a lower bound stay.
func boundHeap() { debug.SetMemoryLimit(min(debug.SetMemoryLimit(-1), heapMost)) }
