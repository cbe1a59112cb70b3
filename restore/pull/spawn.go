package pull

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A process is a command that runs, and leads a process group.
type process struct {
	p    *os.Process
	name string
}

// start starts a command on stdin.
func (c *Command) start(stdin *os.File) (*process, error) {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return nil, errors.New("restore command: expected a program's name")
	}
	path, err := c.find()
	if err != nil {
		return nil, err
	}
	out := c.Output
	if out == nil {
		out = os.Stderr
	}
	env := c.Env
	if env == nil {
		env = []string{} // nil would be ours
	}
	p, err := os.StartProcess(path, c.Argv, &os.ProcAttr{
		Dir: c.Dir, Env: env, Files: []*os.File{stdin, out, out},
		Sys: &syscall.SysProcAttr{Setpgid: true, Credential: c.User},
	})
	if err != nil {
		return nil, fmt.Errorf("restore command %q: %w", c.Argv[0], hint(err))
	}
	return &process{p, c.Argv[0]}, nil
}

// find looks a name without a slash up in the PATH of the command's own environment.
func (c *Command) find() (string, error) {
	name := c.Argv[0]
	if strings.Contains(name, "/") {
		return name, nil
	}
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, v := range c.Env {
		if p, is := strings.CutPrefix(v, "PATH="); is {
			path = p
		}
	}
	for _, dir := range filepath.SplitList(path) {
		at := filepath.Join(dir, name)
		if info, err := os.Stat(at); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 && filepath.IsAbs(at) {
			return at, nil
		}
	}
	return "", fmt.Errorf("restore command %q: not found in %s: install it, or give its path", name, path)
}

// wait reaps the process, and kills its group when the context ends first.
func (p *process) wait(ctx context.Context) error {
	reaped := make(chan struct{})
	killed := make(chan error, 1)
	go func() { // ends with the process
		select {
		case <-reaped:
			killed <- nil
		case <-ctx.Done():
			killed <- unix.Kill(-p.p.Pid, unix.SIGKILL)
		}
	}()
	state, err := p.p.Wait()
	close(reaped)
	kill := <-killed
	if errors.Is(kill, unix.ESRCH) {
		kill = nil
	}
	switch {
	case err != nil:
		return errors.Join(fmt.Errorf("restore command %q: %w", p.name, err), kill)
	case context.Cause(ctx) != nil && !state.Success():
		return errors.Join(fmt.Errorf("restore command %q was killed: %w", p.name, context.Cause(ctx)), kill)
	case !state.Success():
		return fmt.Errorf("%w %q: %s: see its messages above", ErrCommand, p.name, state)
	}
	return nil
}

// run is a command without input.
func (c *Command) run(ctx context.Context) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return fmt.Errorf("restore command: %w", err)
	}
	p, err := c.start(null)
	if err == nil {
		err = p.wait(ctx)
	}
	return errors.Join(err, null.Close())
}
