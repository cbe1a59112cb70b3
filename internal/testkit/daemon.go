package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// readyLimit is generous: a cold JVM on a busy machine took 5 s.
const readyLimit = 60 * time.Second

// daemon is one server process that can be stopped, killed and started again
// on the same ports and data.
type daemon struct {
	name  string
	args  []string
	log   string
	ready func() error

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed by the one waiter of cmd
}

// errExited tells a server that ended before it was ready, most often because
// its port was taken in the meantime.
var errExited = errors.New("ended before it was ready")

func (d *daemon) start(limit time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd != nil {
		return fmt.Errorf("%s runs already (pid %d)", d.name, d.cmd.Process.Pid)
	}
	if err := d.spawn(); err != nil {
		return fmt.Errorf("cannot start %s: %w", d.name, err)
	}
	if err := d.awaitReady(limit); err != nil {
		return errors.Join(fmt.Errorf("%s: %w; end of %s:\n%s", d.name, err, d.log, tail(d.log, 2000)), d.end(syscall.SIGKILL, limit))
	}
	return nil
}

func (d *daemon) spawn() error {
	out, err := os.OpenFile(d.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(d.args[0], d.args[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := proc.spawner.start(cmd); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		// How a server ended is in its log; that it ended is what counts here.
		_ = cmd.Wait()
	}()
	d.cmd, d.done = cmd, done
	return nil
}

func (d *daemon) awaitReady(limit time.Duration) error {
	var last error
	word, ok := Poll(limit, func() (bool, string) {
		select {
		case <-d.done:
			last = errExited
			return true, ""
		default:
		}
		last = d.ready()
		return last == nil, fmt.Sprint(last)
	})
	if !ok {
		return fmt.Errorf("not ready after %v: %s", limit, word)
	}
	return last
}

// end signals the process and waits for its waiter; after the limit SIGKILL.
func (d *daemon) end(sig syscall.Signal, limit time.Duration) error {
	if d.cmd == nil {
		return nil
	}
	// A stopped process takes TERM only once continued; both may find it dead.
	_ = d.cmd.Process.Signal(sig)
	_ = d.cmd.Process.Signal(syscall.SIGCONT)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-d.done:
	case <-timer.C:
		_ = d.cmd.Process.Kill()
		<-d.done
	}
	d.cmd = nil
	return nil
}

func (d *daemon) stop(sig syscall.Signal) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.end(sig, 10*time.Second)
}

// startAgain keeps its ports, so a program that took one must let go first.
func (d *daemon) startAgain() error {
	var err error
	_, ok := Poll(readyLimit, func() (bool, string) {
		err = d.start(readyLimit)
		return !errors.Is(err, errExited), fmt.Sprint(err)
	})
	if !ok {
		return fmt.Errorf("%s does not start again: %w", d.name, err)
	}
	return err
}

func (d *daemon) signal(sig syscall.Signal) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd == nil {
		return fmt.Errorf("%s does not run", d.name)
	}
	return d.cmd.Process.Signal(sig)
}

// Pid is the server's process number, 0 when it does not run.
func (d *daemon) Pid() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd == nil {
		return 0
	}
	return d.cmd.Process.Pid
}

// Pause stops the server with SIGSTOP until Resume or the end of the test. It returns when every thread has
// stopped: until then one on another core may still answer.
func (d *daemon) Pause(t testing.TB) {
	t.Helper()
	must(t, d.signal(syscall.SIGSTOP))
	Wait(t, 10*time.Second, func() (bool, string) { return threadsStopped(d.Pid()) })
	t.Cleanup(func() {
		// The test may have killed it meanwhile, which is as good.
		_ = d.signal(syscall.SIGCONT)
	})
}

// threadsStopped: no thread of the process runs. Otherwise it names one that does.
func threadsStopped(pid int) (bool, string) {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(stats) == 0 {
		return false, fmt.Sprintf("process %d has no threads (%v)", pid, err)
	}
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // it ended meanwhile
		}
		_, after, _ := strings.Cut(string(stat), ") ")
		if err != nil || !strings.HasPrefix(after, "T") {
			return false, fmt.Sprintf("%s: %.20s, %v", name, after, err)
		}
	}
	return true, ""
}

// Resume continues a paused server.
func (d *daemon) Resume(t testing.TB) {
	t.Helper()
	must(t, d.signal(syscall.SIGCONT))
}

// Kill ends the server with SIGKILL and returns when it is dead.
func (d *daemon) Kill(t testing.TB) {
	t.Helper()
	must(t, d.stop(syscall.SIGKILL))
}

// Stop ends the server in its own order and returns when it is dead.
func (d *daemon) Stop(t testing.TB) {
	t.Helper()
	must(t, d.stop(syscall.SIGTERM))
}

// Start brings a killed or stopped server back, with its ports and data, and
// returns when it answers.
func (d *daemon) Start(t testing.TB) {
	t.Helper()
	must(t, d.startAgain())
}

// Restart is Stop and Start.
func (d *daemon) Restart(t testing.TB) {
	t.Helper()
	d.Stop(t)
	d.Start(t)
}

// Log is the path of the server's own log.
func (d *daemon) Log() string { return d.log }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tail reads the last n bytes of a file for a failure message.
func tail(path string, n int) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(raw) > n {
		raw = raw[len(raw)-n:]
	}
	return string(raw)
}
