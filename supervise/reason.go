package supervise

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// inTime does what may be held for ever (a hung filesystem, a pipe that nobody reads) and leaves it
// behind after a while: all is dead by then, and an orchestrator waits for our end. What is left behind
// ends with the process.
func inTime(f func()) {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(lastWords):
	}
}

// explain writes one line to stderr and to the reason file, which is never made unless asked for.
func (g *guard) explain(text string) {
	inTime(func() { complain(text) })
	if g.set.ReasonFile != "" {
		inTime(func() { g.leaveReason(text) })
	}
}

func (g *guard) leaveReason(text string) {
	flags := os.O_WRONLY | os.O_TRUNC | unix.O_NONBLOCK
	if g.set.ReasonCreate {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(g.set.ReasonFile, flags, 0o644)
	if os.IsNotExist(err) {
		return
	}
	if err == nil {
		_, err = f.WriteString(text + "\n")
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		complain("cannot write the reason file: " + err.Error())
	}
}
