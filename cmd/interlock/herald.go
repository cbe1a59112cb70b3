package main

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/lifecycle"
	"github.com/interlock-run/interlock/internal/notify"
)

// extendEvery and extendBy keep a start or an end that takes long from being cut off by the service
// manager. One asks for more time than several silences cost; an agent that hangs is out of time soon.
const (
	extendEvery = 5 * time.Second
	extendBy    = 30 * time.Second
	heraldRetry = time.Second // after a message that nobody took
)

// A herald tells the service manager how the run goes on. It belongs to the deciding loop and never waits;
// what could not be sent is sent later.
type herald struct {
	to              *notify.Socket
	log             *slog.Logger
	watchdog        time.Duration // 0: nobody watches
	status          string        // what was sent last
	ready, stopping bool
	extended        clock.Stamp
	alive, failed   clock.Stamp
}

// newHerald is nil where no service manager listens. What is wrong with its address ends nothing.
func newHerald(environ []string, log *slog.Logger) *herald {
	named := func(name string) string { return lookup(environ, name) }
	to, err := notify.Open(named)
	if err != nil {
		log.Warn("the service manager cannot be told how the run goes on", "cause", err)
	}
	if to == nil {
		return nil
	}
	// The manager started the guard, our parent; it is this process that would hang.
	watchdog, err := notify.Watchdog(named, os.Getpid(), os.Getppid())
	if err != nil {
		log.Warn("the service manager's watchdog is not fed", "cause", err)
	}
	return &herald{to: to, log: log, watchdog: watchdog}
}

// observer is nil where nobody listens.
func (h *herald) observer() func(lifecycle.Phase, lifecycle.Status) {
	if h == nil {
		return nil
	}
	return h.see
}

func (h *herald) close() {
	if h == nil {
		return
	}
	if err := h.to.Close(); err != nil {
		h.log.Debug("closing the service manager's socket", "cause", err)
	}
}

// see is one turn of the loop.
func (h *herald) see(p lifecycle.Phase, st lifecycle.Status) {
	now := st.Turned
	if !h.failed.IsZero() && now.HolderSince(h.failed) < heraldRetry {
		return
	}
	next := *h
	news := next.news(p, st)
	if len(news) == 0 {
		return
	}
	if err := h.to.Send(news...); err != nil {
		h.failed = now
		h.log.Debug("the service manager did not take a message", "message", news, "cause", err)
		return
	}
	next.failed = clock.Stamp{}
	*h = next
}

// news is what the manager does not know yet; h is then what it would know.
func (h *herald) news(p lifecycle.Phase, st lifecycle.Status) (say []string) {
	now := st.Turned
	if p == lifecycle.Serving && !h.ready {
		h.ready, say = true, append(say, "READY=1")
	}
	if ending(p) && !h.stopping {
		h.stopping, say = true, append(say, "STOPPING=1")
	}
	if s := heraldStatus(p, st); s != h.status {
		h.status, say = s, append(say, "STATUS="+s)
	}
	if needsTime(p, st) && due(now, h.extended, extendEvery) {
		h.extended, say = now, append(say, "EXTEND_TIMEOUT_USEC="+strconv.FormatInt(extendBy.Microseconds(), 10))
	}
	if h.watchdog > 0 && due(now, h.alive, h.watchdog/3) {
		h.alive, say = now, append(say, "WATCHDOG=1")
	}
	return say
}

func due(now, last clock.Stamp, period time.Duration) bool {
	return last.IsZero() || now.HolderSince(last) >= period
}

// ending tells the phases from which no way leads back to serving.
func ending(p lifecycle.Phase) bool {
	return p == lifecycle.Withdrawing || p > lifecycle.Serving
}

// needsTime: a start that goes on, in the queue for as long as it takes; and an end in which the last backup
// is taken, or something is killed but not dead, or not synced, because a lock that ends with us is taken
// while that still writes.
func needsTime(p lifecycle.Phase, st lifecycle.Status) bool {
	return p < lifecycle.Serving && !ending(p) || p == lifecycle.Saving || len(st.Stuck) > 0 || st.Drain != ""
}

// heraldStatus is the line that systemctl status shows.
func heraldStatus(p lifecycle.Phase, st lifecycle.Status) string {
	switch {
	case p == lifecycle.Locking && st.Lock.Ahead != "":
		return p.String() + ", behind " + st.Lock.Ahead
	case len(st.Stuck) > 0:
		return fmt.Sprintf("%s, killed but not dead: %v", p, st.Stuck)
	case st.Drain != "":
		return p.String() + ", " + st.Drain
	case ending(p) && st.Verdict != "":
		return p.String() + ": " + st.Verdict
	case p == lifecycle.Serving:
		return p.String() + ", token " + st.Lock.Token
	}
	return p.String()
}
