package supervise

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/process"
)

// A killer is one way of ending everything in the kill domain, and of proving it.
type killer interface {
	admit(pid int) error // put a gate that still waits into the domain
	kill()               // to be repeated until empty
	empty() bool         // proven; must be asked from the thread that starts and reaps
	alive() []int        // who is left, for the report
	close() error        // remove what was made
}

// A starter starts gates and knows their exits.
type starter interface {
	start(s Spec, control *os.File) syscall.Errno
	signal(id uint32, sig syscall.Signal, group bool)
	reaped(pid int, status syscall.WaitStatus) (uint32, bool)
}

// Modes of Domain.
const (
	ModePIDNS     = "pidns"
	ModePID1      = "pid1"
	ModeCgroup2   = "cgroup2"
	ModeCgroup1   = "cgroup1"
	ModeSubreaper = "subreaper"
)

const asleep = "a task in uninterruptible sleep dies only when the kernel lets it"

// misses says in plain words what a mode cannot catch.
func misses(mode string) string {
	moved := "kill -9 of guard and agent at the same moment; a process that, as root, moves itself to another cgroup and outlives the guard; " + asleep
	switch mode {
	case ModePIDNS:
		return "nothing that the kernel can kill; " + asleep
	case ModePID1:
		return "what others started outside this container; " + asleep
	case ModeCgroup2:
		return moved
	case ModeCgroup1:
		return moved + ", and the freezer cannot hold the others still meanwhile"
	}
	return "once the guard was killed: a process that had left its parents within the last second and has overwritten its environment, so death cannot be proven then; kill -9 of guard and agent at the same moment; " + asleep
}

// local starts in the guard itself: modes without a namespace.
type local struct{ *nursery }

func (l local) reaped(pid int, _ syscall.WaitStatus) (uint32, bool) { return l.nursery.reaped(pid) }

// A brood is all that descends from the guard but the agent's tree: subreaper, and the extra of the
// cgroup modes. As PID 1 it is every process there is.
type brood struct {
	agent *agentProcess
	looks *process.Lookout
	whole bool
}

func (b brood) members() []task {
	spare := b.agent.pid
	if b.agent.reaped {
		spare = 0 // the number may be another's by now
	}
	if b.whole {
		return outside(b.looks, os.Getpid(), spare)
	}
	return below(b.looks, os.Getpid(), spare)
}

func (b brood) admit(int) error { return nil }
func (b brood) kill()           { sweep(b.members) }
func (b brood) alive() []int    { return pids(b.members()) }
func (b brood) close() error    { return nil }

// empty: the agent is the child of another thread, and orphans come to the main one. So "no child of
// this thread", which the kernel answers in one step, is the proof that no descendant is left.
func (b brood) empty() bool {
	err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WALL|unix.WNOTHREAD, nil)
	if !errors.Is(err, unix.ECHILD) {
		return false
	}
	return !b.whole || len(b.members()) == 0
}

// readWord reads a one-line file of /proc or a cgroup.
func readWord(path string) (string, error) {
	b, err := os.ReadFile(path)
	return strings.TrimSpace(string(b)), err
}
