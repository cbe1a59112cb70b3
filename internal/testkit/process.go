package testkit

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Process is a command under test. Its one waiter is the kit's: use Exited,
// Wait and ExitCode, never cmd.Wait.
type Process struct {
	cmd   *exec.Cmd
	dir   string
	done  chan struct{}
	begun time.Duration
}

// Start runs a command; it is killed with all below it when the test ends,
// and what it wrote is logged if the test failed.
func Start(t testing.TB, args ...string) *Process {
	t.Helper()
	return StartCmd(t, exec.Command(args[0], args[1:]...))
}

// StartCmd is Start for a command with folder, environment or descriptors of
// its own. Streams left nil go to files: a pipe would keep the waiter until
// the last grandchild closed it.
func StartCmd(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{cmd: cmd, dir: t.TempDir(), done: make(chan struct{})}
	for _, s := range []struct {
		name string
		to   func(*os.File)
		set  bool
	}{
		{"stdout", func(f *os.File) { cmd.Stdout = f }, cmd.Stdout != nil},
		{"stderr", func(f *os.File) { cmd.Stderr = f }, cmd.Stderr != nil},
	} {
		if s.set {
			continue
		}
		f, err := os.Create(filepath.Join(p.dir, s.name))
		must(t, err)
		defer f.Close()
		s.to(f)
	}
	p.begun = Monotonic()
	must(t, proc.spawner.start(cmd))
	go func() {
		defer close(p.done)
		// The status stays in cmd.ProcessState; a copy error cannot occur with files.
		_ = cmd.Wait()
	}()
	t.Cleanup(func() { p.cleanup(t) })
	return p
}

func (p *Process) cleanup(t testing.TB) {
	if err := p.killTree(); err != nil {
		t.Errorf("cannot end %v: %v", p.cmd.Args, err)
	}
	<-p.done
	if t.Failed() {
		t.Logf("%v (pid %d): %v\nstdout: %s\nstderr: %s", p.cmd.Args, p.Pid(), p.cmd.ProcessState,
			tail(filepath.Join(p.dir, "stdout"), 4000), tail(filepath.Join(p.dir, "stderr"), 16000))
	}
}

func (p *Process) killTree() error {
	select {
	case <-p.done:
		return nil
	default:
		return killTree(p.Pid())
	}
}

// Pid is the process number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Begun is Monotonic right before the process was made.
func (p *Process) Begun() time.Duration { return p.begun }

// Exited is closed once the process has been reaped.
func (p *Process) Exited() <-chan struct{} { return p.done }

// Signal sends a signal; to a process that has ended it is an error.
func (p *Process) Signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("cannot send %v to %v: %v", sig, p.cmd.Args, err)
	}
}

// Kill sends SIGKILL, which may come too late.
func (p *Process) Kill(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Kill(); !errors.Is(err, os.ErrProcessDone) {
		must(t, err)
	}
}

// Pause stops the process with SIGSTOP, and returns when every thread has stopped.
func (p *Process) Pause(t testing.TB) {
	t.Helper()
	p.Signal(t, syscall.SIGSTOP)
	Wait(t, 10*time.Second, func() (bool, string) { return threadsStopped(p.Pid()) })
}

// Wait waits for the end and returns the exit code, 128+n for a signal.
func (p *Process) Wait(t testing.TB, limit time.Duration) int {
	t.Helper()
	end := time.NewTimer(limit)
	defer end.Stop()
	select {
	case <-p.done:
	case <-end.C:
		t.Fatalf("%v (pid %d) still runs after %v", p.cmd.Args, p.Pid(), limit)
	}
	ws := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// Stdout is what the process wrote so far, unless the command had a stream
// of its own.
func (p *Process) Stdout(t testing.TB) string { t.Helper(); return p.read(t, "stdout") }

// Stderr is Stdout for the other stream.
func (p *Process) Stderr(t testing.TB) string { t.Helper(); return p.read(t, "stderr") }

func (p *Process) read(t testing.TB, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.dir, name))
	must(t, err)
	return string(raw)
}
