package supervise

import (
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// linkVariable tells the agent its end of the socket and the guard's pid; it takes it out of its
// environment at once.
const linkVariable = "__INTERLOCK_LINK"

// An agentProcess is the guard's other half as the guard sees it.
type agentProcess struct {
	pid         int
	link        *conn
	eof, reaped bool
	status      unix.WaitStatus
	memory      memory
}

func (a *agentProcess) gone() bool { return a.eof || a.reaped }

// spawnAgent forks the agent from a thread of its own that stays until release is closed: so the
// agent is no child of the main thread, whose children are the kill domain (see brood.empty).
func spawnAgent(n *nursery, argv, env []string, release <-chan struct{}, join func(func())) (*agentProcess, error) {
	near, far, err := newPair()
	if err != nil {
		return nil, err
	}
	defer far.Close()
	files, slot := n.layout([3]uintptr{n.null.Fd(), 1, 2}, far.Fd(), false)
	attr := &syscall.ProcAttr{Files: files, Env: append(env[:len(env):len(env)],
		linkVariable+"="+strconv.Itoa(slot)+":"+strconv.Itoa(os.Getpid()))}
	// Until it is connected the agent holds nothing and dies with us; then it outlives us, to take over.
	attr.Sys = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	type forked struct {
		pid int
		err error
	}
	answer := make(chan forked, 1)
	join(func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this function
		pid, err := syscall.ForkExec(selfExe, append([]string{RoleAgent}, argv[1:]...), attr)
		answer <- forked{pid, err}
		<-release
	})
	f := <-answer
	if f.err != nil {
		near.close()
		return nil, os.NewSyscallError("fork of the agent", f.err)
	}
	return &agentProcess{pid: f.pid, link: near}, nil
}

// An outbox holds what the agent has not made room for yet. Nothing waits for an agent that does not
// read: the deadline must go on.
type outbox struct {
	link    *conn
	waiting [][]byte
}

// maxWaiting bounds the memory that a stopped agent can cost; the oldest Stuck reports are not worth more.
const maxWaiting = 1 << 14

func (o *outbox) put(e Event) {
	body := pack(msgEvent).event(e)
	if len(o.waiting) >= maxWaiting && e.Kind == Stuck {
		return
	}
	o.waiting = append(o.waiting, body)
	o.flush()
}

// flush sends what fits. An agent that is gone gets nothing; its end is noticed elsewhere.
func (o *outbox) flush() {
	for len(o.waiting) > 0 {
		full, _ := o.link.trySend(o.waiting[0])
		if full {
			return
		}
		o.waiting = o.waiting[1:]
	}
}

// now sends an event that must be in the socket before the caller goes on.
func (o *outbox) now(e Event, files ...*os.File) error {
	o.flush()
	if len(o.waiting) > 0 {
		return syscall.EAGAIN
	}
	full, err := o.link.trySend(pack(msgEvent).event(e), files...)
	if full {
		return syscall.EAGAIN
	}
	return err
}
