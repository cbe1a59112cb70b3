package lifecycle

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/interlock-run/interlock/supervise"
)

// A scriptedGuard stands for the guard process where an order of events is needed that the real one gives
// only by chance. By default it does what it is told at once.
type scriptedGuard struct {
	events chan supervise.Event
	// Each may be set by a test before the run; true means that it was dealt with.
	onLease  func(supervise.Lease) bool
	onStart  func(supervise.Spec) bool
	onSignal func(id uint32, sig syscall.Signal) bool
	onKill   func() bool
	onFinish func() bool
	proof    supervise.Proof
	taken    chan struct{} // TakeOver waits for it, if set

	mu    sync.Mutex
	calls []string
	end   sync.Mutex // of events: nothing is sent once it is closed
	dead  atomic.Bool
}

func newScriptedGuard() *scriptedGuard {
	return &scriptedGuard{events: make(chan supervise.Event, 1000), proof: supervise.Proof{Proven: true, How: "test"}}
}

func (g *scriptedGuard) note(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, fmt.Sprintf(format, args...))
}

func (g *scriptedGuard) soFar() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.calls)
}

func (g *scriptedGuard) noted(call string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Contains(g.calls, call)
}

func (g *scriptedGuard) count(prefix string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, c := range g.calls {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

// die closes the guard's end, as its death does.
func (g *scriptedGuard) die() {
	g.end.Lock()
	defer g.end.Unlock()
	if !g.dead.Swap(true) {
		close(g.events)
	}
}

// say tells the runner, unless the guard has died meanwhile.
func (g *scriptedGuard) say(e supervise.Event) {
	g.end.Lock()
	defer g.end.Unlock()
	if !g.dead.Load() {
		g.events <- e
	}
}

func (g *scriptedGuard) Events() <-chan supervise.Event { return g.events }

func (g *scriptedGuard) Prepare(supervise.Settings) error {
	g.say(supervise.Event{Kind: supervise.Ready, Domain: supervise.Domain{Mode: "pidns", PIDNamespace: 1}})
	return nil
}

func (g *scriptedGuard) Lease(l supervise.Lease) error {
	g.note("lease")
	if g.dead.Load() {
		return io.ErrClosedPipe
	}
	if g.onLease == nil || !g.onLease(l) {
		g.say(supervise.Event{Kind: supervise.Leased, Tenure: l.Tenure, Kill: l.Kill})
	}
	return nil
}

func (g *scriptedGuard) Start(s supervise.Spec) error {
	g.note("start %s", what(s))
	switch {
	case g.onStart != nil && g.onStart(s):
	case s.Payload:
		g.say(supervise.Event{Kind: supervise.Started, ID: s.ID, PID: 4711})
	default:
		g.say(supervise.Event{Kind: supervise.Exited, ID: s.ID})
	}
	return nil
}

func what(s supervise.Spec) string {
	switch {
	case s.Payload:
		return "payload"
	case s.Courier:
		return "courier"
	case s.Worker:
		return "worker"
	}
	return s.Argv[0]
}

func (g *scriptedGuard) Signal(id uint32, sig syscall.Signal) error {
	g.note("signal %d %d", id, int(sig))
	if sig != syscall.SIGCONT && (g.onSignal == nil || !g.onSignal(id, sig)) {
		g.say(supervise.Event{Kind: supervise.Exited, ID: id, Status: syscall.WaitStatus(sig)})
	}
	return nil
}

func (g *scriptedGuard) KillOne(id uint32) error { g.note("kill one"); return nil }

func (g *scriptedGuard) Kill(tenure uint64) error {
	g.note("kill")
	if g.onKill == nil || !g.onKill() {
		g.say(supervise.Event{Kind: supervise.Empty, Tenure: tenure})
	}
	if g.dead.Load() {
		return io.ErrClosedPipe
	}
	return nil
}

func (g *scriptedGuard) Finish(tenure uint64) error {
	g.note("finish")
	if g.onFinish == nil || !g.onFinish() {
		g.say(supervise.Event{Kind: supervise.Dead, Tenure: tenure})
	}
	return nil
}

func (g *scriptedGuard) Keep(*os.File) error { return nil }

func (g *scriptedGuard) Memory(*os.File, uint64) error { return nil }

func (g *scriptedGuard) TakeOver(ctx context.Context, _ []string) (supervise.Proof, error) {
	g.note("take over")
	if g.taken != nil {
		select {
		case <-g.taken:
		case <-ctx.Done():
		}
	}
	return g.proof, nil
}
