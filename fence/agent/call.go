package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A result is how one call ended, and the last of what it said.
type result struct {
	code int
	tail string
}

// said is the tail as part of a message.
func (r result) said() string {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(r.tail, "?")), " ")
	if text == "" {
		return ", and said nothing"
	}
	if over := len(text) - tailLimit; over > 0 {
		text = "..." + strings.ToValidUTF8(text[over:], "")
	}
	return ": " + text
}

const (
	// tailLimit is how much of an agent's output an error carries.
	tailLimit = 1024
	// killPatience is how long a killed agent may take to end; one that hangs in the kernel is left behind.
	killPatience = 2 * time.Second
)

// call runs the agent once, to its end or that of ctx. Whatever it left behind in its process group dies too.
func call(ctx context.Context, path, input string, env []string, said *tail) (result, error) {
	if err := ctx.Err(); err != nil {
		return result{}, err
	}
	pids, ended := make(chan int, 1), make(chan ending, 1)
	// Joined below, but for an agent that SIGKILL does not end, or whose start hangs in the kernel.
	go func() { ended <- wait(ctx, path, input, env, said, pids) }()
	return outcome(ctx, pids, ended, said)
}

// outcome waits for the end, and at that of ctx kills: what has not started by then, wait kills once it has.
func outcome(ctx context.Context, pids <-chan int, ended <-chan ending, said *tail) (result, error) {
	select {
	case e := <-ended:
		return result{e.code, said.String()}, e.err
	case <-ctx.Done():
	}
	what := "its start hangs"
	select {
	case pid := <-pids:
		_ = unix.Kill(-pid, unix.SIGKILL) // its leader is not reaped before its group was killed
		what = fmt.Sprintf("killed, but process %d does not end", pid)
	default:
	}
	patience := time.NewTimer(killPatience)
	defer patience.Stop()
	select {
	case <-ended:
		return result{tail: said.String()}, fmt.Errorf("killed: %w", context.Cause(ctx))
	case <-patience.C:
		return result{tail: said.String()}, fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
}

// An ending is how the process ended; err if that is not known, or it never began.
type ending struct {
	code int
	err  error
}

// wait starts the agent and is its one waiter. It stays on its thread, with which the agent would die.
func wait(ctx context.Context, path, input string, env []string, said *tail, pids chan<- int) ending {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(path)
	cmd.Dir, cmd.Env = "/", env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), said, said
	if said.answers {
		cmd.Stderr = nil
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = killPatience / 2
	if err := cmd.Start(); err != nil {
		return ending{err: fmt.Errorf("cannot start it: %w", err)}
	}
	pids <- cmd.Process.Pid
	if ctx.Err() != nil { // nobody may know of it any more, and a late `off` would be nobody's
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	}
	for errors.Is(unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // what it left behind; the number is its own until it is reaped
	err := cmd.Wait()
	state := cmd.ProcessState
	var exit *exec.ExitError
	switch {
	case state == nil:
		return ending{err: err}
	case !state.Exited():
		return ending{err: fmt.Errorf("ended by %v", state)}
	case err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) && !errors.Is(err, syscall.EPIPE):
		return ending{err: err}
	}
	return ending{code: state.ExitCode()}
}

// A tail keeps the last of what was written to it: more than is shown, so that a secret is not cut in two
// before it is taken out.
type tail struct {
	answers bool // it is an answer that will be read: without what goes to stderr
	mu      sync.Mutex
	kept    []byte
}

// An answer is far longer than what is kept of complaints.
const answerLimit = 1 << 20

func (t *tail) limit() int {
	if t.answers {
		return answerLimit
	}
	return 4 * tailLimit
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - t.limit(); over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}

// executable tells what is wrong with the agent's file.
func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%s is no executable file", path)
	}
	return nil
}
