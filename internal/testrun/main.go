// Command testrun runs the tests of the repository by family, two side by
// side, and ends with a table and one plain line of counts.
//
// Promise: whatever is wrong makes the exit code 1: a failed test, a package
// that does not build, a family without tests, a process or mount left
// behind, and with CI set a skip that .ci/allowed-skips does not name.
//
// Not promised: that missing servers can be installed; then the tests that
// need them are skipped and the table says so.
//
// Called by the Makefile: testrun [FAMILY…], or testrun install TOOL… for
// what the measurements need. INTERLOCK_TEST_LONG=1 asks the
// tests for their long form and gives them time for it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	failed, err := dispatch(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
	}
	if err != nil || failed > 0 {
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string) (int, error) {
	if len(args) > 1 && args[0] == "install" {
		install(ctx, []family{{tools: args[1:]}}, false)
		return 0, nil
	}
	return run(ctx, args)
}

// run returns the number of failures that it has reported.
func run(ctx context.Context, names []string) (int, error) {
	chosen, err := choose(names)
	if err != nil {
		return 0, err
	}
	// What loses its parent becomes ours and can be found at the end.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("cannot become a subreaper: %w", err)
	}
	if err := resetSignals(); err != nil {
		return 0, err
	}
	before, err := testkit.TakeCensus()
	if err != nil {
		return 0, err
	}
	s, err := newSession()
	if err != nil {
		return 0, err
	}
	install(ctx, chosen, s.long)
	s.build(ctx)
	s.buildServers(ctx, chosen)
	results := s.families(ctx, chosen)
	s.problem(ctx.Err())
	s.problem(s.readSkipLog())
	s.problem(s.clean())
	s.problem(before.Left())
	return s.report(os.Stdout, results), nil
}

// A session is one call of testrun.
type session struct {
	root     string // of the module
	work     string // temporary, removed at the end
	logs     string // kept
	race     bool
	long     bool
	allowed  allowList // nil unless CI is set
	skipLog  string
	servers  string   // what the tests wrote there
	problems []string // failures that belong to no test
}

func newSession() (*session, error) {
	root, err := testkit.ModuleRoot()
	if err != nil {
		return nil, err
	}
	s := &session{root: root, logs: filepath.Join(root, ".cache", "test-logs"), long: os.Getenv("INTERLOCK_TEST_LONG") != ""}
	if ci := os.Getenv("CI"); ci != "" && ci != "false" && ci != "0" {
		if s.allowed, err = readAllowList(filepath.Join(root, ".ci", "allowed-skips")); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(s.logs, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the folder of the logs: %w", err)
	}
	// A short name, open to others: unix sockets and tests without privilege need that.
	if s.work, err = os.MkdirTemp("", "itr"); err != nil {
		return nil, err
	}
	s.skipLog = filepath.Join(s.work, "skips")
	return s, os.Chmod(s.work, 0o755)
}

func (s *session) problem(err error) {
	if err != nil {
		s.problems = append(s.problems, err.Error())
	}
}

// readSkipLog comes before clean. No file means that no test asked for a server.
func (s *session) readSkipLog() error {
	raw, err := os.ReadFile(s.skipLog)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot read what the tests wrote about servers: %w", err)
	}
	s.servers = string(raw)
	return nil
}

// clean ends what tests left running and removes what they left lying, but
// never through a mount: behind it may be something that is not ours.
func (s *session) clean() error {
	err := testkit.EndLeftProcesses()
	if left := testkit.MountsBelow(s.work); len(left) > 0 {
		return errors.Join(err, fmt.Errorf("tests left mounts behind, so %s stays: %v", s.work, left))
	}
	return errors.Join(err, os.RemoveAll(s.work))
}
