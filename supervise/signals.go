package supervise

import (
	"os"
	"os/signal"
	"syscall"
)

// Exit codes of roles, out of the product's table.
const (
	exitUsage       = 64
	exitInternal    = 70
	exitLost        = 76
	exitCannotStart = 126
	exitSignaled    = 128 // and the signal's number
)

// stopSignals are for the agent to decide about.
func stopSignals() []os.Signal {
	return []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT}
}

func isStop(sig os.Signal) bool {
	for _, stop := range stopSignals() {
		if sig == stop {
			return true
		}
	}
	return false
}

// forwarded signals mean something to a payload and nothing to us.
func forwarded() []os.Signal {
	return []os.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH}
}

// IgnoreStopSignals makes agent, helpers and workers deaf to signals that are sent to a whole tree
// (Mesos, Ctrl-C, dumb-init): they take orders from the guard alone. SIGPIPE is among them: a log
// reader that went away must not end the agent. The signals are caught and dropped, not ignored, so
// that commands started from here get the defaults.
func IgnoreStopSignals() {
	sink := make(chan os.Signal, 1)
	for _, sig := range append(append(stopSignals(), forwarded()...), syscall.SIGPIPE) {
		if !signal.Ignored(sig) {
			signal.Notify(sink, sig)
		}
	}
}
