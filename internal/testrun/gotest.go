package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

const sideBySide = 2

// binary is where build puts what the tests run.
func (s *session) binary() string { return filepath.Join(s.work, "interlock") }

// build makes the binary once for all packages, and looks whether the race
// detector can be had.
func (s *session) build(ctx context.Context) {
	_, err := exec.LookPath("gcc")
	s.race = err == nil
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", s.binary(), "./cmd/interlock")
	cmd.Dir = s.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.problem(fmt.Errorf("cmd/interlock does not build: %w\n%s", err, out))
	}
}

// buildServers is kept in Go's build cache, so all but the first time it takes no time. A failure is said here
// and shows again as skips: the tests themselves decide what they cannot do without.
func (s *session) buildServers(ctx context.Context, chosen []family) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	for _, f := range chosen {
		for _, server := range f.servers {
			if _, err := server.Build(ctx, s.root); err != nil {
				fmt.Printf("NOT BUILT: %s: %v\n", server.Name, err)
			}
		}
	}
}

// families runs the chosen ones, two at a time, and keeps their order.
func (s *session) families(ctx context.Context, chosen []family) []*result {
	results := make([]*result, len(chosen))
	next := make(chan int)
	var workers sync.WaitGroup
	out := &printer{w: os.Stdout}
	for range sideBySide {
		workers.Go(func() {
			for i := range next {
				results[i] = s.family(ctx, chosen[i], len(chosen) > 1, out)
			}
		})
	}
	for i := range chosen {
		next <- i
	}
	close(next)
	workers.Wait()
	return results
}

func (s *session) family(ctx context.Context, f family, shared bool, out *printer) *result {
	r := newResult(f.name, out)
	start := time.Now()
	err := s.goTest(ctx, f, shared, r)
	r.took = time.Since(start)
	r.finish(err)
	return r
}

// limit bounds a whole family; go test bounds each package of it.
func (s *session) limit() (pkg string, whole time.Duration) {
	if s.long {
		return "1500s", time.Hour
	}
	return "240s", 15 * time.Minute
}

func (s *session) goTest(ctx context.Context, f family, shared bool, r *result) (err error) {
	pkgs, err := s.packages(f)
	if err != nil {
		return err
	}
	if len(pkgs) == 0 {
		return errors.New("the family has no packages")
	}
	pkgLimit, whole := s.limit()
	ctx, cancel := context.WithTimeout(ctx, whole)
	defer cancel()
	flags := []string{"-json", "-count=1", "-timeout", pkgLimit}
	if shared {
		// Two families have a core each.
		flags = append(flags, "-p", "1")
	}
	if s.race {
		flags = append(flags, "-race")
	}
	env, err := s.environment(f)
	if err != nil {
		return err
	}
	keep, err := os.Create(filepath.Join(s.logs, r.name+".json"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keep.Close()) }()
	err = s.drive(ctx, s.testCommand(ctx, s.root, env, slices.Concat(flags, pkgs)), r, keep)
	for _, m := range f.modules {
		dir := filepath.Join(s.root, m)
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing != nil {
			// Without it go would find no packages, and no fault in that.
			return errors.Join(err, fmt.Errorf("%s is not a module of its own: %w", m, missing))
		}
		cmd := s.testCommand(ctx, dir, env, slices.Concat(flags, []string{"./..."}))
		err = errors.Join(err, s.drive(ctx, cmd, r, keep))
	}
	return err
}

func (s *session) testCommand(ctx context.Context, dir string, env, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test"}, args...)...)
	cmd.Dir, cmd.Env = dir, env
	return cmd
}

// drive reads the events of go test while they come and keeps a copy.
func (s *session) drive(ctx context.Context, cmd *exec.Cmd, r *result, keep io.Writer) error {
	// The group takes the test binaries along; what they started dies with them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stderr = &lineWriter{to: r.stderr}
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := r.read(io.TeeReader(events, keep))
	err = cmd.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && r.failures() > 0 {
		// go test says only once more what the events said.
		err = nil
	}
	return errors.Join(readErr, err)
}

// environment gives the family a temporary folder of its own.
func (s *session) environment(f family) ([]string, error) {
	tmp := filepath.Join(s.work, f.name)
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return nil, err
	}
	env := append(os.Environ(), "TMPDIR="+tmp, testkit.SkipLogVar+"="+s.skipLog)
	if _, err := os.Stat(s.binary()); err == nil {
		env = append(env, testkit.BinaryVar+"="+s.binary())
	}
	if s.race {
		env = append(env, "CGO_ENABLED=1")
	}
	return env, nil
}
