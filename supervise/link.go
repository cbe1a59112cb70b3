package supervise

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/process"
)

// A Link is the agent's end. Its methods may be called from any goroutine.
type Link struct {
	conn     *conn
	guardPID int
	guard    *os.File // pidfd
	events   chan Event
	closed   chan struct{}
	gone     chan struct{} // the guard's end is closed and everything it said was read
	once     sync.Once
	joined   sync.WaitGroup

	mu sync.Mutex // of what is learned
	learned
	kin   kin
	looks process.Lookout // not that of kin: strangers that hang shall not use it up
}

// learned is what a take-over goes by.
type learned struct {
	domain   Domain
	initFD   *os.File    // pidfd of the namespace's init, as last announced
	lastKill clock.Stamp // of the last lease that the guard may know of
}

// Connect takes the agent's end of the link that the guard started it with.
func Connect() (*Link, error) {
	value := os.Getenv(linkVariable)
	if err := os.Unsetenv(linkVariable); err != nil {
		return nil, err
	}
	number, parent, ok := strings.Cut(value, ":")
	fd, err1 := strconv.Atoi(number)
	pid, err2 := strconv.Atoi(parent)
	if !ok || err1 != nil || err2 != nil {
		return nil, errors.New("no link to a guard: this process must be started by interlock run")
	}
	c, err := openConn(fd)
	if err != nil {
		return nil, fmt.Errorf("link to the guard: %w", err)
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("guard %d cannot be watched: %w (pidfd_open needs Linux 5.3)", pid, err), c.close())
	}
	l := &Link{conn: c, guardPID: pid, guard: os.NewFile(uintptr(pidfd), "guard"),
		events: make(chan Event), closed: make(chan struct{}), gone: make(chan struct{})}
	if os.Getppid() != pid { // looked at after the pidfd: so it is not another process's
		return nil, errors.Join(errors.New("the guard has ended already"), c.close(), l.guard.Close())
	}
	if err := outliveGuard(); err != nil {
		return nil, errors.Join(err, c.close(), l.guard.Close())
	}
	queue := make(chan Event)
	l.joined.Add(2)
	go l.read(queue)
	go l.deliver(queue)
	return l, nil
}

// BeginAgent is called in the agent's first init: it keeps the main goroutine on the main thread, which
// alone has the parent-death signal of the fork and can take it back (Connect), and stop signals from
// ending the agent during the long part of its start.
func BeginAgent() {
	runtime.LockOSThread()
	IgnoreStopSignals()
}

// outliveGuard ends what BeginAgent and the fork began: from here on the agent watches the guard itself.
func outliveGuard() error {
	defer runtime.UnlockOSThread()
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0))
}

// Events is closed when the guard's end is gone. It holds any number of events until they are read.
func (l *Link) Events() <-chan Event { return l.events }

// GuardPID is the guard's process id.
func (l *Link) GuardPID() int { return l.guardPID }

// Close ends the link; the guard takes it as the agent's end.
func (l *Link) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		err = errors.Join(l.conn.close(), l.guard.Close())
		l.joined.Wait()
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.initFD != nil {
			err = errors.Join(err, l.initFD.Close())
		}
	})
	return err
}

func (l *Link) read(queue chan<- Event) {
	defer l.joined.Done()
	defer close(l.gone)
	defer close(queue)
	buf := make([]byte, maxMessage)
	for {
		m, err := l.conn.recv(buf)
		if err != nil {
			return
		}
		u := &unpacker{b: m.body}
		if u.num() != msgEvent {
			m.close()
			return // another binary on the other end: as good as gone
		}
		e := u.event()
		if u.err() != nil {
			m.close()
			return
		}
		switch {
		case e.Kind == Ready:
			l.adopt(e.Domain, &m)
		case e.Kind == Started && l.subreaper():
			l.kin.started()
		}
		m.close()
		select {
		case queue <- e:
		case <-l.closed:
			return
		}
	}
}

// adopt remembers how to kill the domain; it happens here so that TakeOver knows it even when nobody
// reads events.
func (l *Link) adopt(d Domain, m *packet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.domain = d
	if d.Mode == ModeSubreaper {
		l.kin.watch(l.guardPID, l.closed, l.join)
	}
	if l.initFD != nil {
		_ = l.initFD.Close() // of a namespace that the guard has proven dead
		l.initFD = nil
	}
	if len(m.files) > 0 {
		l.initFD, m.files = m.files[0], m.files[1:]
	}
}

func (l *Link) subreaper() bool {
	d, _ := l.known()
	return d.Mode == ModeSubreaper
}

func (l *Link) join(f func()) {
	l.joined.Add(1)
	go func() { defer l.joined.Done(); f() }()
}

// deliver stands between the socket and a caller that may be slow, so that the guard never waits.
func (l *Link) deliver(queue <-chan Event) {
	defer l.joined.Done()
	defer close(l.events)
	var waiting []Event
	for queue != nil || len(waiting) > 0 {
		var out chan Event
		var first Event
		if len(waiting) > 0 {
			out, first = l.events, waiting[0]
		}
		select {
		case e, ok := <-queue:
			if !ok {
				queue = nil
				continue
			}
			waiting = append(waiting, e)
		case out <- first:
			waiting = waiting[1:]
		case <-l.closed:
			return
		}
	}
}

func (l *Link) send(what string, body packer, files ...*os.File) error {
	if len(body) > maxMessage {
		return fmt.Errorf("%s: %d bytes for the guard, expected at most %d: shorten arguments or environment", what, len(body), maxMessage)
	}
	// A guard that is stopped must not stop the agent with it: it would miss the time to take over.
	if err := l.conn.file.SetWriteDeadline(time.Now().Add(sendPatience)); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := l.conn.send(body, files...); err != nil {
		return fmt.Errorf("%s: cannot reach the guard: %w", what, err)
	}
	return nil
}

// sendPatience is long for a socket with room for hundreds of orders, and short against any lease.
const sendPatience = 250 * time.Millisecond

// Prepare chooses the kill domain; answered by Ready, or Refused.
func (l *Link) Prepare(s Settings) error { return l.send("prepare", pack(msgPrepare).settings(s)) }

// Lease arms or extends the deadline. What the guard does not accept is answered by Refused.
func (l *Link) Lease(v Lease) error {
	l.mu.Lock()
	l.lastKill = v.Kill
	l.mu.Unlock()
	return l.send("lease", pack(msgLease).num(v.Tenure).stamp(v.Kill))
}

// Start is answered by Started or StartFailed, and after Started by Exited.
func (l *Link) Start(s Spec) error {
	if s.Payload && s.ArgvFrom > 0 {
		s.Argv = nil
	}
	var files []*os.File
	for _, f := range []*os.File{s.Stdin, s.Stdout, s.Stderr} {
		if f != nil {
			files = append(files, f)
		}
	}
	return l.send("start", pack(msgStart).spec(s), files...)
}

// Signal sends a signal to the one process.
func (l *Link) Signal(id uint32, sig syscall.Signal) error {
	return l.send("signal", pack(msgSignal).num(uint64(id)).int(int(sig)))
}

// KillOne kills a process and its process group: a hook past its timeout.
func (l *Link) KillOne(id uint32) error { return l.send("kill one", pack(msgKillOne).num(uint64(id))) }

// Kill ends everything in the domain now; answered by Empty, and by Stuck each second until then.
func (l *Link) Kill(tenure uint64) error { return l.send("kill", pack(msgKill).num(tenure)) }

// Finish kills what is left and ends the tenure for good; answered by Dead.
func (l *Link) Finish(tenure uint64) error { return l.send("finish", pack(msgFinish).num(tenure)) }

// Memory gives the guard what counts the processes that the kernel kills for lack of memory, and how far it
// had counted lately: a guard whose agent is among them says so.
func (l *Link) Memory(kills *os.File, was uint64) error {
	return l.send("memory", pack(msgMemory).num(was), kills)
}

// Keep makes the guard hold a duplicate of f until it exits.
func (l *Link) Keep(f *os.File) error { return l.send("keep", pack(msgKeep), f) }
