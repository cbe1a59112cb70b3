package supervise

import (
	"os"
	"runtime"
)

// garbage is the guard's, where there is a GOGC. That is meant for a payload that is a Go program, which gets
// it; but with "off" the guard would grow with every heartbeat until the kernel kills it. What could set our
// own, runtime/debug, would bring heavy packages in front of the roles.
type garbage struct {
	lies bool
	seen int
}

// garbageEvery is far less than a megabyte of messages.
const garbageEvery = 512

func newGarbage() garbage { return garbage{lies: os.Getenv("GOGC") != ""} }

// message counts one, and collects now and then.
func (g *garbage) message() {
	if g.seen++; g.lies && g.seen%garbageEvery == 0 {
		runtime.GC()
	}
}
