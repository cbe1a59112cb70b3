package job

import "runtime/debug"

// heapMost is where the collector begins to work hard: a dump needs 42 MiB at most, while it is published, and all
// of its process, with the program's code, shall stay below 64 MiB however many items there are.
const heapMost = 48 << 20

// BoundHeap is for a process that does nothing but jobs. A lower bound stays.
func BoundHeap() { debug.SetMemoryLimit(min(debug.SetMemoryLimit(-1), heapMost)) }
