package main

import (
	"os"
	"runtime/debug"
	"time"
)

// The agent's start allocates more than what the garbage collector waits for by default, and a collection
// in the middle of it takes 2 of some 20 milliseconds from the payload's start. Within startTime it may use
// up to heapAtStart percent of the default minimum, 16 MiB; then the default is in force again.
const (
	startTime   = time.Second
	heapAtStart = 400
)

// collectLater puts collections off for the time of the start, unless the operator set GOGC. What it returns
// ends that time.
func collectLater() (now func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	before := debug.SetGCPercent(heapAtStart)
	t := time.AfterFunc(startTime, func() { debug.SetGCPercent(before) })
	return func() { t.Stop() }
}
