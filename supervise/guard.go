package supervise

import (
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"golang.org/x/sys/unix"
)

// inputs is everything that the guard's one loop waits for.
type inputs struct {
	orders  chan packet // closed at the agent's end of file
	gates   chan gateReport
	inits   chan initReport
	child   chan os.Signal
	signals chan os.Signal
	alarm   chan struct{}
	panics  chan any
	stop    chan struct{} // closed when the loop has ended
}

// A guard is the loop's state; only the loop's goroutine, on the main thread, touches it.
type guard struct {
	set      Settings
	lease    tenancy
	choice   choice // zero until Prepare
	nursery  *nursery
	children map[uint32]*child
	agent    *agentProcess
	out      *outbox
	alarm    *alarm
	end      ending
	in       inputs
	kept     []*os.File
	joined   *sync.WaitGroup
}

// Guard is the whole of the top process. It returns the exit code, after the kill domain is proven dead.
func Guard() int {
	runtime.LockOSThread()
	g, err := newGuard(os.Args, os.Environ())
	if err != nil {
		complain("cannot start: " + err.Error())
		return exitInternal
	}
	defer g.joined.Wait()
	defer close(g.in.stop)
	return g.run()
}

func complain(text string) { _, _ = os.Stderr.WriteString("interlock: guard: " + text + "\n") }

func newGuard(argv, env []string) (*guard, error) {
	n, err := newNursery(argv, nil, -1)
	if err != nil {
		return nil, err
	}
	g := &guard{nursery: n, children: map[uint32]*child{}, joined: &sync.WaitGroup{}, in: inputs{
		orders: make(chan packet), gates: make(chan gateReport), inits: make(chan initReport),
		child: make(chan os.Signal, 1), signals: make(chan os.Signal, 256),
		alarm: make(chan struct{}, 1), panics: make(chan any, 1), stop: make(chan struct{}),
	}}
	if err := mainThread(); err != nil {
		return nil, err
	}
	if err := becomeSubreaper(); err != nil {
		return nil, err
	}
	if g.alarm, err = newAlarm(); err != nil {
		return nil, err
	}
	g.listen()
	if g.agent, err = spawnAgent(n, argv, env, g.in.stop, g.spawn); err != nil {
		close(g.in.stop)
		return nil, err
	}
	n.env = env
	g.out = &outbox{link: g.agent.link}
	g.spawn(func() { g.alarm.watch(g.in.alarm) })
	g.spawn(g.readAgent)
	return g, nil
}

// listen catches every signal that would end or stop a guard. SIGPIPE is dropped by being caught.
func (g *guard) listen() {
	signal.Notify(g.in.child, unix.SIGCHLD)
	for _, sig := range append(stopSignals(), forwarded()...) {
		if !signal.Ignored(sig) {
			signal.Notify(g.in.signals, sig)
		}
	}
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE, unix.SIGTTOU, unix.SIGTTIN, unix.SIGTSTP, unix.SIGALRM)
}

// mainThread: only the main thread's children are the orphans' brothers (see brood.empty).
func mainThread() error {
	if unix.Gettid() != os.Getpid() {
		return os.NewSyscallError("guard must run on the main thread", syscall.EINVAL)
	}
	return nil
}

// spawn runs a reader; its panic becomes the loop's, because only the loop can kill.
func (g *guard) spawn(f func()) {
	g.joined.Add(1)
	go func() {
		defer g.joined.Done()
		defer func() {
			if r := recover(); r != nil {
				g.in.panics <- r // room for one, and one is enough
			}
		}()
		f()
	}()
}

func (g *guard) readAgent() {
	defer close(g.in.orders)
	buf := make([]byte, maxMessage)
	for {
		m, err := g.agent.link.recv(buf)
		if err != nil {
			return
		}
		select {
		case g.in.orders <- m:
		case <-g.in.stop:
			m.close()
			return
		}
	}
}

// run turns the loop until the end; a panic on the way kills the domain and ends with 70.
func (g *guard) run() int {
	defer g.cleanup()
	for {
		code, done, crash := g.guardedTurn()
		if crash != nil {
			return g.crash(crash)
		}
		if done {
			return code
		}
	}
}

func (g *guard) guardedTurn() (code int, done bool, crash any) {
	defer func() { crash = recover() }()
	code, done = g.turn()
	return code, done, nil
}

// turn handles one input. The clock comes first: a guard that slept must not follow an order that
// came too late, however early it was sent.
func (g *guard) turn() (code int, done bool) {
	g.watchDeadline()
	g.progress()
	if code, done := g.judge(time.Now()); done {
		return code, true
	}
	var again <-chan time.Time
	if g.busy() {
		again = time.After(g.end.pause(time.Now()))
	}
	select {
	case m, ok := <-g.in.orders:
		g.watchDeadline()
		g.onOrder(m, ok)
	case r := <-g.in.gates:
		g.onGate(r)
	case r := <-g.in.inits:
		g.onInit(r)
	case <-g.in.child:
		g.reap()
	case s := <-g.in.signals:
		g.onSignal(s.(syscall.Signal))
	case <-g.in.alarm:
	case <-again:
		g.reap()
	case r := <-g.in.panics:
		panic(r)
	}
	return 0, false
}

// busy tells that something goes on without an event of its own: looked at again after a tick.
func (g *guard) busy() bool {
	return g.end.killing || g.agent.gone() || len(g.out.waiting) > 0 || !g.end.lingerUntil.IsZero()
}

func (g *guard) onSignal(sig syscall.Signal) {
	for _, stop := range stopSignals() {
		if sig == stop {
			g.out.put(Event{Kind: SignalReceived, Signal: sig})
			return
		}
	}
	g.signalPayload(sig)
}

func (g *guard) signalPayload(sig syscall.Signal) {
	for id, c := range g.children {
		if c.payload && c.started {
			g.choice.starter.signal(id, sig, false)
		}
	}
}

// watchDeadline does what the clock demands, then arms the timer for what comes next.
func (g *guard) watchDeadline() {
	now, before := clock.Now(), g.lease.stage
	after := g.lease.advance(now)
	if before == armed && after > armed {
		g.signalPayload(unix.SIGTERM)
		g.tellDeadline(StageTerm)
	}
	if before < killed && after == killed {
		g.beginKill()
		g.tellDeadline(StageKill)
	}
	if next, ok := g.lease.next(); ok {
		if err := g.alarm.set(now, next); err != nil {
			panic(err) // a deadline that cannot be armed is none: kill and exit 70
		}
	}
}

// tellDeadline: after Dead there is nothing left that it could end but the wait for the agent.
func (g *guard) tellDeadline(stage string) {
	if !g.end.dead {
		g.out.put(Event{Kind: Deadline, Tenure: g.lease.tenure, Stage: stage})
	}
}

// reapBatch bounds one go at the dead, so that ten thousand orphans do not delay the deadline.
const reapBatch = 512

// reap is the one waiter of this process.
func (g *guard) reap() {
	for range reapBatch {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG|unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid == 0 {
			return
		}
		g.onExit(pid, status)
	}
	select {
	case g.in.child <- unix.SIGCHLD: // there may be more
	default:
	}
}

func (g *guard) onExit(pid int, status unix.WaitStatus) {
	if pid == g.agent.pid {
		g.agent.reaped, g.agent.status = true, status
		return
	}
	if g.choice.starter == nil {
		return
	}
	if id, ok := g.choice.starter.reaped(pid, syscall.WaitStatus(status)); ok {
		g.ended(id, syscall.WaitStatus(status), 0)
	}
	g.namespaceOver()
}
