package device

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// toolPath is where the tools are; the environment of a service often lacks half of it.
const toolPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// A failure is a command that ended with another status than 0.
type failure struct {
	command string
	code    int
	said    string
}

func (f *failure) Error() string {
	if f.said == "" {
		return fmt.Sprintf("%s: exit status %d, and it said nothing", f.command, f.code)
	}
	return fmt.Sprintf("%s: exit status %d: %s", f.command, f.code, f.said)
}

// errHangs is a command that the limit's SIGKILL did not end.
var errHangs = errors.New("it hangs, and SIGKILL does not end it")

// killWait is what a killed command has to go.
const killWait = 2 * time.Second

func (w *work) command(ctx context.Context, args []string) error {
	_, err := w.output(ctx, args)
	return err
}

// output runs a command in a process group of its own, which is killed at the end of the context. One that
// the kernel does not let go is left to it.
func (w *work) output(ctx context.Context, args []string) (string, error) {
	cmd := exec.Command(find(args[0]), args[1:]...)
	cmd.Env = append(slices.Clone(w.Env), "PATH="+toolPath, "LC_ALL=C")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = killWait
	var said tail
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return "", err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }() // joined through done, or left with a process in the kernel
	select {
	case err := <-done:
		return said.String(), judge(args, err, &said)
	case <-ctx.Done():
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may just have ended
	t := time.NewTimer(2 * killWait)
	defer t.Stop()
	select {
	case <-done:
		return "", fmt.Errorf("%s: %w", args[0], context.Cause(ctx))
	case <-t.C:
		return "", fmt.Errorf("%s: %w: %w", args[0], context.Cause(ctx), errHangs)
	}
}

// A tail is the end of what was said.
type tail struct{ said []byte }

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.said = append(t.said, p...)
	if n := len(t.said); n > 16*tailSize {
		t.said = append(t.said[:0], t.said[n-tailSize:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.said[max(0, len(t.said)-tailSize):]) }

func judge(args []string, err error, said *tail) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() < 0 { // or was killed
		return err
	}
	text := strings.ReplaceAll(strings.TrimSpace(said.String()), "\n", "; ")
	return &failure{filepath.Base(args[0]), exit.ExitCode(), text}
}

func find(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	for dir := range strings.SplitSeq(toolPath, ":") {
		if st, err := os.Stat(filepath.Join(dir, name)); err == nil && st.Mode().IsRegular() {
			return filepath.Join(dir, name)
		}
	}
	return name // the start says that it is not there
}

// settle asks the device for a flush and a read, within the limit.
func settle(ctx context.Context, path string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return within(ctx, func() error { return Settle(path) })
}

// within waits for a call that may hang in the kernel. One that does is left to it: it ends with the
// detachment, or with this process.
func within(ctx context.Context, call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }() // joined through done, or left with the device
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: it hangs", context.Cause(ctx))
	}
}

// Settle waits until a device that is not mounted has answered a flush and a read: on one connection that
// is after everything that was asked of it before. It hangs as long as the device does.
func Settle(path string) error {
	f, err := os.OpenFile(path, unix.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	if err == nil {
		_, err = unix.Pread(int(f.Fd()), aligned(), 0)
		if err != nil {
			err = &os.PathError{Op: "read", Path: path, Err: err}
		}
	}
	return errors.Join(err, f.Close())
}

// aligned is a buffer as direct reads want it.
func aligned() []byte {
	const size = 4096
	b := make([]byte, 2*size)
	skip := size - int(uintptr(unsafe.Pointer(&b[0]))%size)
	return b[skip : skip+size]
}
