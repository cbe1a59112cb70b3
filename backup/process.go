package backup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A process is one command of a backup with all below it: its own process group, and one waiter.
type process struct {
	name   string
	pid    int
	errs   *complaints
	exited chan struct{} // closed once it has been reaped and its complaints are read
	err    error         // how it ended; valid then
	mu     sync.Mutex
	dead   bool // its number may be another's by now
}

// A stdio is what a command gets as its descriptors, and what is added to its environment. in and out are
// closed once it has started, or has not.
type stdio struct {
	in, out *os.File // nil: /dev/null
	env     []string
	folder  *os.File // handed; stays open here; nil: none
	both    bool     // its output goes where its complaints go
}

// start runs a command. It is the caller who ends it, by kill, and waits.
func start(run Process, log *slog.Logger, argv []string, std stdio) (*process, error) {
	program, err := find(argv[0], run.Env)
	var read, write *os.File
	if err == nil {
		read, write, err = os.Pipe()
	}
	if err != nil {
		return nil, errors.Join(err, closeAll(std.in, std.out))
	}
	cmd := exec.Command(program, argv[1:]...)
	cmd.Dir, cmd.Env = run.Dir, append(append([]string{}, run.Env...), std.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: run.Credential}
	cmd.Stderr = write
	// A nil *os.File in an interface would be taken for a file.
	if std.in != nil {
		cmd.Stdin = std.in
	}
	if std.out != nil {
		cmd.Stdout = std.out
	} else if std.both {
		cmd.Stdout = write
	}
	if std.folder != nil {
		cmd.ExtraFiles = []*os.File{std.folder}
	}
	err = cmd.Start()
	err = errors.Join(err, closeAll(std.in, std.out, write))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: cannot start %q: %w", ErrTool, argv[0], err), read.Close())
	}
	p := &process{name: filepath.Base(argv[0]), pid: cmd.Process.Pid, exited: make(chan struct{})}
	p.errs = listen(read, log.With("command", p.name))
	go p.wait(cmd) // ends with the process; joined by exited
	return p, nil
}

// find looks a program up in the PATH of its environment, also where Debian keeps servers' tools out of it.
func find(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range append(filepath.SplitList(pathOf(env)), "/usr/sbin", "/usr/local/sbin", "/usr/lib/postgresql/*/bin") {
		found, _ := filepath.Glob(filepath.Join(dir, name)) //nolint:errcheck // a bad pattern finds nothing
		for _, path := range slices.Backward(found) {
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 && filepath.IsAbs(path) {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("%w: %q is not in the PATH%s", ErrTool, name, packageHint(name))
}

func pathOf(env []string) string {
	for _, v := range slices.Backward(env) {
		if path, is := strings.CutPrefix(v, "PATH="); is {
			return path
		}
	}
	return os.Getenv("PATH")
}

// graceOfStreams is how long what escaped the process group may hold the end of a dead command's stderr.
const graceOfStreams = 2 * time.Second

// wait is the one waiter. What is left of the group when its first process has ended goes with it, while
// the unreaped process still keeps the group's number from being used again.
func (p *process) wait(cmd *exec.Cmd) {
	defer close(p.exited)
	for {
		err := unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	p.kill()
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.err = cmd.Wait()
	p.err = errors.Join(p.err, p.errs.end(graceOfStreams))
}

// kill ends the whole group.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return
	}
	_ = unix.Kill(-p.pid, unix.SIGKILL) // ESRCH: gone, which is what is wanted
}

// killWith kills the group when ctx ends before the process. The caller runs it once, with a visible join.
func (p *process) killWith(ctx context.Context) {
	select {
	case <-p.exited:
	case <-ctx.Done():
		p.kill()
		<-p.exited
	}
}

// failure is how the process ended, as one error with its last words; nil where it ended well.
func (p *process) failure(ctx context.Context) error {
	if p.err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s was ended: %w", p.name, context.Cause(ctx))
	}
	return fmt.Errorf("%w: %s: %w%s", ErrCommand, p.name, p.err, p.errs.said())
}

func closeAll(files ...*os.File) (err error) {
	for _, f := range files {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}
