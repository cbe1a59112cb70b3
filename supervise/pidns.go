package supervise

import (
	"errors"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/mutate"
	"github.com/interlock-run/interlock/internal/process"
)

// pidns runs the kill domain in a PID namespace. Its init forks for us and dies with us; the kernel
// kills all in it when the init dies, and the init is not reaped before all of them are gone.
type pidns struct {
	*nursery // launches the inits; the gates are forked by them
	user     bool
	why      string
	now      *nsInit
	announce func(Domain, *os.File) error
	watch    func(*nsInit)
}

type nsInit struct {
	pid         int
	link        *conn
	pidfd       *os.File
	inode       uint64
	reaped, eof bool
	unwanted    bool // made ahead, not used
}

// an initReport is what the init says: the exit of a process, or that it could not fork.
type initReport struct {
	from   *nsInit
	id     uint32
	status syscall.WaitStatus
	errno  syscall.Errno
	eof    bool
}

func (p *pidns) describe() Domain {
	d := Domain{Mode: ModePIDNS, Why: p.why, Misses: misses(ModePIDNS)}
	if p.now != nil {
		d.InitPID, d.PIDNamespace = p.now.pid, p.now.inode
	}
	return d
}

// ensure makes a namespace if there is none: at the start, and after a kill for later workers. The
// agent must be able to kill it before anything runs in it, so the announcement comes first.
func (p *pidns) ensure() error {
	if p.now != nil {
		return nil
	}
	in, err := p.launch()
	if err != nil {
		return err
	}
	p.now = in
	p.watch(in)
	if err := errors.Join(p.announce(p.describe(), in.pidfd), p.equip()); err != nil {
		p.kill()
		return err
	}
	return nil
}

// equip gives the init the environment of what it will start. It is made with none, because it may be
// made before it is known which variables are secrets.
func (p *pidns) equip() error {
	env, err := writeEnv(p.env)
	if err != nil {
		return err
	}
	defer env.Close()
	if full, err := p.now.link.trySend(pack(msgEnv), env); full || err != nil {
		return errors.Join(syscall.EAGAIN, err)
	}
	return nil
}

// launch clones an init. That exec succeeded is known when ForkExec returns.
func (p *pidns) launch() (*nsInit, error) {
	near, far, err := newPair()
	if err != nil {
		return nil, err
	}
	defer far.Close()
	files, slot := p.layout([3]uintptr{0, 1, 2}, far.Fd(), true)
	argv := append([]string{RoleInit, strconv.Itoa(slot)}, p.argv...)
	attr := &syscall.ProcAttr{Files: files, Env: clock.Inherited(), Sys: namespaceAttr(p.user)}
	var pid int
	fork := func() { pid, err = syscall.ForkExec(selfExe, argv, attr) }
	if mutate.Broken("pdeathsig-pooled-thread") { // PDEATHSIG is the forking thread's end: only ours ends with us
		mutate.OnPooledThread(fork)
	} else {
		fork()
	}
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("clone", err), near.close())
	}
	in := &nsInit{pid: pid, link: near}
	if fd, err := unix.PidfdOpen(pid, 0); err == nil { // without it the agent cannot prove, and says so
		in.pidfd = os.NewFile(uintptr(fd), "pidfd")
	}
	in.inode, err = inode(strconv.Itoa(pid), "pid")
	own, ownErr := inode("self", "pid")
	if err = errors.Join(err, ownErr); err == nil && own == in.inode {
		err = errors.New("the kernel answered with our own PID namespace")
	}
	if err != nil {
		signalPID(pid, unix.SIGKILL)
		_, werr := unix.Wait4(pid, nil, 0, nil)
		return nil, errors.Join(err, werr, in.close())
	}
	return in, nil
}

// namespaceAttr: with a user namespace the caller keeps its own ids (databases refuse root), and its
// init keeps the one capability that mounting /proc takes.
func namespaceAttr(user bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Pdeathsig: unix.SIGKILL}
	if user {
		uid, gid := os.Geteuid(), os.Getegid()
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
	}
	return attr
}

func (i *nsInit) close() error {
	err := i.link.close()
	if i.pidfd != nil {
		err = errors.Join(err, i.pidfd.Close())
	}
	return err
}

func (p *pidns) start(s Spec, control *os.File) syscall.Errno {
	if err := p.ensure(); err != nil {
		var errno syscall.Errno
		if errors.As(err, &errno) {
			return errno
		}
		return syscall.EIO
	}
	files := []*os.File{control}
	for _, f := range []*os.File{s.Stdin, s.Stdout, s.Stderr} {
		if f != nil {
			files = append(files, f)
		}
	}
	full, err := p.now.link.trySend(pack(msgStart).flag(p.foreground).spec(s), files...)
	if full || err != nil {
		return syscall.EAGAIN
	}
	if s.Payload {
		p.closeInherited() // the init has its own
	}
	return 0
}

// prepare has the first gates forked ahead. It is no order that anything depends on.
func (p *pidns) prepare() {
	_, _ = p.now.link.trySend(pack(msgSpare).flag(p.foreground))
}

// signal goes through the init: it reaps, so it alone knows that a number is still the same process.
func (p *pidns) signal(id uint32, sig syscall.Signal, group bool) {
	if p.now == nil {
		return
	}
	full, err := p.now.link.trySend(pack(msgSignal).num(uint64(id)).int(int(sig)).flag(group))
	if group && (full || err != nil) {
		p.kill() // a kill that cannot be delivered becomes the larger one
	}
}

// reaped notices the init's own end; the exits of others come from it.
func (p *pidns) reaped(pid int, _ syscall.WaitStatus) (uint32, bool) {
	if p.now != nil && pid == p.now.pid {
		p.now.reaped = true
	}
	return 0, false
}

// over tells, once, that the init is gone and everything it said has been read.
func (p *pidns) over() bool {
	if p.now == nil || !p.now.reaped || !p.now.eof {
		return false
	}
	_ = p.now.close() // sockets and a pidfd: nothing to lose
	p.now = nil
	return true
}

func (p *pidns) admit(int) error { return nil }
func (p *pidns) empty() bool     { return p.now == nil }
func (p *pidns) close() error    { return nil }

func (p *pidns) kill() {
	if p.now != nil && !p.now.reaped {
		signalPID(p.now.pid, unix.SIGKILL)
	}
}

func (p *pidns) alive() []int {
	if p.now == nil {
		return nil
	}
	all, err := process.Numbers()
	if err != nil {
		return []int{p.now.pid}
	}
	var found []int
	for _, pid := range all {
		if ns, err := inode(strconv.Itoa(pid), "pid"); err == nil && ns == p.now.inode && !process.Ended(pid) {
			found = append(found, pid)
		}
	}
	return found
}
