package field

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/chaos/wire"
)

// A Family knows which children have a waiter. A process has one, as it has one table of children.
type Family struct {
	mu   sync.Mutex
	pids map[int]bool
}

// NewFamily is for all fields of this process.
func NewFamily() *Family { return &Family{pids: map[int]bool{}} }

func (f *Family) has(pid int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pids[pid]
}

// A process is a child with its one waiter.
type process struct {
	cmd  *exec.Cmd
	task Task
	done chan struct{}
}

// start starts a command in a node, its streams into a file.
func (f *Family) start(node *wire.Node, log string, cmd *exec.Cmd) (*process, error) {
	out, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	f.mu.Lock()
	err = node.Start(cmd)
	if err == nil {
		f.pids[cmd.Process.Pid] = true
	}
	f.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", cmd.Args[0], err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	p.task, _ = task(cmd.Process.Pid) // one that has ended already gets no signals
	go func() {
		defer close(p.done)
		// How it ended is in cmd.ProcessState.
		_ = cmd.Wait()
		f.mu.Lock()
		delete(f.pids, cmd.Process.Pid)
		f.mu.Unlock()
	}()
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// end asks it to end, and kills it after the limit.
func (p *process) end(sig unix.Signal, limit time.Duration) error {
	if err := Signal(sig, p.task); err != nil {
		return err
	}
	if err := p.task.Signal(unix.SIGCONT); err != nil {
		return err
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
	}
	if err := p.task.Signal(unix.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// code is the exit code, 128+n for a signal; of one that has ended.
func (p *process) code() int {
	ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		return -1
	}
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}
