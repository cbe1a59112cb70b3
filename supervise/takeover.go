package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/process"
)

// TakeOver ends the domain without the guard: the guard first (SIGKILL works on a stopped process),
// and only once it is seen dead, so that it cannot start anything behind our back, the proof (E4). env
// is what every process of the domain was given as environment; with what was seen below the guard it is
// all there is to go by in subreaper mode (E5). The error is why nothing could be proven before ctx ended.
func (l *Link) TakeOver(ctx context.Context, env []string) (Proof, error) {
	if l.guardPID == 1 {
		return l.outlast(ctx, env)
	}
	if err := l.killGuard(ctx, env); err != nil {
		return Proof{How: "the guard did not die"}, err
	}
	return l.endDomain(ctx, env)
}

// outlast is the take-over from a guard that is PID 1: SIGKILL does not reach it from within, and a stopped
// one that is continued follows the orders that still lie before it. What kept it from starting anything
// is the clock alone, its own and its gates': so only what is seen after the kill time of the last lease
// that it was sent is a proof.
func (l *Link) outlast(ctx context.Context, env []string) (Proof, error) {
	if !until(ctx, func() { l.strike(env) }, l.pastLastKill) {
		return Proof{How: "everything in the kill domain was killed"}, fmt.Errorf("the guard is PID 1 and its lease has not run out: %w", ctx.Err())
	}
	return l.endDomain(ctx, env)
}

func (l *Link) endDomain(ctx context.Context, env []string) (Proof, error) {
	d, init := l.known()
	switch d.Mode {
	case "":
		return Proof{Proven: true, How: "nothing had been prepared, so nothing ran"}, nil
	case ModePIDNS:
		return endNamespace(ctx, init)
	case ModeCgroup2, ModeCgroup1:
		return endCgroup(ctx, &cgroup{dir: d.Cgroup, v1: d.Mode == ModeCgroup1})
	case ModePID1:
		return l.endContainer(ctx)
	}
	return l.endKindred(ctx, env)
}

func (l *Link) known() (Domain, *os.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.domain, l.initFD
}

// killGuard also waits until everything that the guard had said is read: the last namespace that it
// made was announced before anything ran in it. A copy of the guard's end may outlive it, in a child
// that is held between fork and exec: so it is our own end that is shut, once nothing more can come.
func (l *Link) killGuard(ctx context.Context, env []string) error {
	if err := signalFD(l.guard); err != nil {
		return fmt.Errorf("guard %d: %w", l.guardPID, err)
	}
	l.strike(env)
	if err := killFD(ctx, l.guard); err != nil {
		return fmt.Errorf("guard %d: %w", l.guardPID, err)
	}
	var err error
	if cerr := l.conn.raw.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), unix.SHUT_RDWR) }); cerr != nil {
		err = cerr
	}
	if err != nil && !errors.Is(err, unix.ENOTCONN) {
		return fmt.Errorf("guard %d is dead but the link to it cannot be shut: %w", l.guardPID, err)
	}
	select {
	case <-l.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("guard %d is dead but what it said has not been read: %w", l.guardPID, ctx.Err())
	}
}

// strike kills what is known of the domain without waiting for the guard's death: one that is held by
// the kernel runs none of our code any more, yet it may take longer to die than the deadline allows.
// It proves nothing; the proof comes after, and kills again.
func (l *Link) strike(env []string) {
	switch d, init := l.known(); d.Mode {
	case ModePIDNS:
		if init != nil {
			_ = signalFD(init)
		}
	case ModeCgroup2, ModeCgroup1:
		(&cgroup{dir: d.Cgroup, v1: d.Mode == ModeCgroup1}).killGroup()
	case ModePID1:
		sweep(l.others)
	case ModeSubreaper:
		if len(env) > 0 {
			sweep(func() []task { return l.kindred(env) })
		}
	}
}

// signalFD kills by pidfd; a process that has gone is what was wanted.
func signalFD(pidfd *os.File) error {
	if err := unix.PidfdSendSignal(int(pidfd.Fd()), unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("cannot be killed: %w", err)
	}
	return nil
}

// killFD kills by pidfd and waits until it is readable: the process is dead, and for a namespace's
// init so is everything in it.
func killFD(ctx context.Context, pidfd *os.File) error {
	if err := signalFD(pidfd); err != nil {
		return err
	}
	fd := int(pidfd.Fd())
	for ctx.Err() == nil {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, int(tick/time.Millisecond))
		if n > 0 {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("cannot be watched: %w", err)
		}
	}
	return fmt.Errorf("was killed but is not dead yet: %w", ctx.Err())
}

func endNamespace(ctx context.Context, init *os.File) (Proof, error) {
	if init == nil {
		return Proof{How: "the namespace's init was announced without a pidfd"}, errors.New("kernel without pidfd: the end of the namespace cannot be seen")
	}
	if err := killFD(ctx, init); err != nil {
		return Proof{How: "the namespace's init was killed"}, fmt.Errorf("init of the kill domain %w", err)
	}
	return Proof{Proven: true, How: "the PID namespace's init is dead, and with it all in the namespace"}, nil
}

// until repeats step until done says yes or ctx ends.
func until(ctx context.Context, step func(), done func() bool) bool {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		step()
		if done() {
			return true
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return false
		}
	}
}

func endCgroup(ctx context.Context, c *cgroup) (Proof, error) {
	if !until(ctx, c.killGroup, c.vacant) {
		return Proof{How: "the cgroup was killed"}, fmt.Errorf("%s is not empty yet: %w", c.dir, ctx.Err())
	}
	how := "the cgroup is empty"
	if err := c.close(); err != nil {
		how += " (and could not be removed: " + err.Error() + ")"
	}
	return Proof{Proven: true, How: how}, nil
}

// endContainer kills all but PID 1 and our own tree.
func (l *Link) endContainer(ctx context.Context) (Proof, error) {
	if !until(ctx, func() { sweep(l.others) }, func() bool { return len(l.others()) == 0 }) {
		return Proof{How: "everything in the container was killed"}, fmt.Errorf("processes %v are not dead yet: %w", pids(l.others()), ctx.Err())
	}
	return Proof{Proven: true, How: "no process is left in the container but guard and agent"}, nil
}

// others are all processes of the container but the guard, which is PID 1, and our own tree.
func (l *Link) others() []task { return outside(&l.looks, l.guardPID, os.Getpid()) }

// pastLastKill tells whether no lease that the guard may know of lets anything start any more.
func (l *Link) pastLastKill() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lastKill.IsZero() || clock.Now().Reached(l.lastKill)
}

// endKindred kills what carries this run's variables or was seen below the guard. Orphans went to init, may
// have dropped the ones and come after the other: so this proves nothing, and says so.
func (l *Link) endKindred(ctx context.Context, env []string) (Proof, error) {
	how := "the guard is dead, and without a namespace or cgroup nothing can be proven"
	if len(env) == 0 {
		return Proof{How: how}, errors.New("no variables given to find the processes by")
	}
	members := func() []task { return l.kindred(env) }
	if !until(ctx, func() { sweep(members) }, func() bool { return len(members()) == 0 }) {
		return Proof{How: how}, fmt.Errorf("processes %v are not dead yet: %w", pids(members()), ctx.Err())
	}
	return Proof{How: how + "; every process that had been seen below it or has our variables was killed"}, nil
}

func (l *Link) kindred(env []string) []task { return append(l.kin.members(), l.carriers(env)...) }

// carriers finds the living processes outside our own tree whose environment holds all of env. One whose environment
// cannot be read because the read hangs may be one of them.
func (l *Link) carriers(env []string) []task {
	var found []task
	for _, t := range outside(&l.looks, 1, os.Getpid()) {
		b, err := l.looks.File(t.pid, "environ")
		switch {
		case t.unsure, errors.Is(err, process.ErrHangs):
			found = append(found, task{t.pid, true})
		case err == nil && holdsAll(string(b), env):
			found = append(found, t)
		}
	}
	return found
}

func holdsAll(environ string, env []string) bool {
	environ = "\x00" + environ + "\x00"
	for _, kv := range env {
		if !strings.Contains(environ, "\x00"+kv+"\x00") {
			return false
		}
	}
	return true
}
