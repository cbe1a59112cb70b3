package agent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/interlock-run/interlock/fence/warden"
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

// call runs the agent once, to its end or that of ctx. Whatever it left behind dies too.
func call(ctx context.Context, path, input string, env []string, said *tail) (result, error) {
	if err := ctx.Err(); err != nil {
		return result{}, err
	}
	begun, ended := make(chan func(), 1), make(chan ending, 1)
	// Joined below, but for what SIGKILL does not end, or a start that hangs in the kernel.
	go func() { ended <- wait(ctx, path, input, env, said, begun) }()
	return outcome(ctx, begun, ended, said)
}

// outcome waits for the end, and at that of ctx kills: what has not started by then, wait kills once it has.
func outcome(ctx context.Context, begun <-chan func(), ended <-chan ending, said *tail) (result, error) {
	select {
	case e := <-ended:
		return result{e.code, said.String()}, e.err
	case <-ctx.Done():
	}
	what := "its start hangs"
	select {
	case kill := <-begun:
		kill()
		what = "killed, but it does not end"
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

// wait starts the agent below a warden, who kills it when the pipe that we hold ends, be it by our death.
func wait(ctx context.Context, path, input string, env []string, said *tail, begun chan<- func()) ending {
	held, hold, err := os.Pipe()
	if err != nil {
		return ending{err: err}
	}
	defer held.Close()
	kill := sync.OnceFunc(func() { _ = hold.Close() })
	defer kill()
	report, reports, err := os.Pipe()
	if err != nil {
		return ending{err: err}
	}
	defer report.Close()
	defer reports.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args, cmd.Dir, cmd.Env = warden.Args(path), "/", env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), said, said
	if said.answers {
		cmd.Stderr = nil
	}
	cmd.ExtraFiles = []*os.File{held, reports}
	if err := cmd.Start(); err != nil {
		return ending{err: fmt.Errorf("cannot start its warden: %w", err)}
	}
	_, _ = held.Close(), reports.Close() // the warden has its own
	begun <- kill
	if ctx.Err() != nil { // nobody may know of it any more, and a late `off` would be nobody's
		kill()
	}
	r, err := warden.Read(report)
	heardOut(cmd)
	return endingOf(path, r, err)
}

// heardOut waits until all that the agent said has been read: what lives on may hold the pipe.
func heardOut(cmd *exec.Cmd) {
	read := make(chan struct{})
	go func() { // joined through read, or left with what SIGKILL does not end
		defer close(read)
		_ = cmd.Wait() // the report says how it ended
	}()
	patience := time.NewTimer(killPatience / 2)
	defer patience.Stop()
	select {
	case <-read:
	case <-patience.C:
	}
}

func endingOf(path string, r warden.Report, err error) ending {
	switch {
	case err != nil:
		return ending{err: err}
	case r.Errno != 0:
		return ending{err: fmt.Errorf("cannot start it: %w", &os.PathError{Op: "exec", Path: path, Err: r.Errno})}
	case r.Signal != 0:
		return ending{err: fmt.Errorf("ended by signal: %v", r.Signal)}
	}
	return ending{code: r.Code}
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
