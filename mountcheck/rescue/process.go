package rescue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Name is the first argument of the process that pulls a lever.
const Name = "interlock-rescue"

// Main is that process: exit status 0 when the lever is pulled, else one line on stderr.
func Main() int {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP) // whoever signals the whole tree means the payload
	if err := main(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, strings.ReplaceAll(err.Error(), "\n", "; "))
		return 1
	}
	return 0
}

func main(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("expected one argument, got %d", len(args)-1)
	}
	var l Lever
	if err := json.Unmarshal([]byte(args[1]), &l); err != nil {
		return err
	}
	return l.pull()
}

// ErrHangs is a lever that was not pulled in time. Its process is killed, and left to the kernel if that
// does not let it go; the lever may still have been of use.
var ErrHangs = errors.New("it hangs")

// Pull pulls one lever and waits for at most the limit.
func (p *Plan) Pull(l Lever, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, fmt.Errorf("%w: no end within %v", ErrHangs, limit))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- run(ctx, l) }() // joined through done; beyond the limit only while the kernel holds it
	select {
	case err := <-done:
		return wrap(l, err)
	case <-ctx.Done():
		return wrap(l, context.Cause(ctx))
	}
}

func wrap(l Lever, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot %s: %w", l, err)
}

// run starts the process and waits for it. Even the start can hang, where the program lies on the mount.
func run(ctx context.Context, l Lever) error {
	// The child dies with this thread, so it is kept until the child has ended.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	arg, err := json.Marshal(l)
	if err != nil {
		return err
	}
	words, out, err := os.Pipe()
	if err != nil {
		return err
	}
	proc, err := os.StartProcess("/proc/self/exe", []string{Name, string(arg)}, &os.ProcAttr{
		Dir: "/", Env: []string{}, Files: []*os.File{nil, nil, out},
		Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	err = errors.Join(err, out.Close())
	if err != nil {
		return errors.Join(err, words.Close())
	}
	defer context.AfterFunc(ctx, func() { _ = proc.Kill() })() // it may just have ended
	said, readErr := io.ReadAll(io.LimitReader(words, 4096))
	state, err := proc.Wait()
	err = errors.Join(err, readErr, words.Close())
	if err == nil && !state.Success() {
		err = fmt.Errorf("%s (%s)", strings.TrimSpace(string(said)), state)
	}
	return err
}
