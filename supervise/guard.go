package supervise

import (
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"

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
	early    *pidns // made before it, for it
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
	g.hasten()
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
	buf, rest := make([]byte, maxMessage), newGarbage()
	for {
		m, err := g.agent.link.recv(buf)
		if err != nil {
			return
		}
		rest.message()
		select {
		case g.in.orders <- m:
		case <-g.in.stop:
			m.close()
			return
		}
	}
}
