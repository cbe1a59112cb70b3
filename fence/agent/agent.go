// Package agent switches other nodes off, by ClusterLabs fence agents or scripts with the same contract.
//
// Promise: Off returns nil only where the agent's `off` exited with 0 and its `status` afterwards with 2
// (off); the options go to its standard input, never to its arguments, and their values are in no error;
// each call ends within its time, killed with all that it has started. Non-promise: it believes the agent: one
// that says off of a node that is on, or of another node, is not found out. Called by cmd/interlock for
// the successor's hold-off and for `interlock lock clear`.
package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// An Agent is a program and the options that it is given.
type Agent struct {
	Path    string // absolute
	Options Options
	Timeout time.Duration // of Off, both calls together
	Env     []string      // the agent's whole environment
}

// Nobody counts a node as fenced after one of these.
var (
	// ErrFailed says that the agent reported a failure, or that the node is still on.
	ErrFailed = errors.New("not fenced")
	// ErrUnknown says that nothing is known: the agent did not end in time, or could not be run.
	ErrUnknown = errors.New("not known whether fenced")
)

// The exit codes of `action=status`.
const (
	statusOn  = 0
	statusOff = 2
)

// Off switches a node off and has the agent confirm it. env is added to the agent's environment.
func (a Agent) Off(ctx context.Context, node string, env []string) error {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	off, err := a.do(ctx, "off", node, env)
	if err != nil {
		return err
	}
	if off.code != 0 {
		return fmt.Errorf("%w: %s action=off for node %s ended with exit status %d%s", ErrFailed, a.Path, node, off.code, off.said())
	}
	status, err := a.do(ctx, "status", node, env)
	switch {
	case err != nil:
		return err
	case status.code == statusOn:
		return fmt.Errorf("%w: %s says that node %s is still on after its action=off had exited with 0%s", ErrFailed, a.Path, node, status.said())
	case status.code != statusOff:
		return fmt.Errorf("%w: %s action=status for node %s ended with exit status %d, expected 2 (off)%s", ErrFailed, a.Path, node, status.code, status.said())
	}
	return nil
}

// do is one call of the agent.
func (a Agent) do(ctx context.Context, action, node string, env []string) (result, error) {
	input, err := a.Options.input(action, node)
	if err != nil {
		return result{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	r, err := call(ctx, a.Path, input, slices.Concat(a.Env, env), &tail{})
	r.tail = a.Options.redact(r.tail, node)
	if err != nil {
		return r, fmt.Errorf("%w: %s action=%s for node %s: %w%s", ErrUnknown, a.Path, action, node, err, r.said())
	}
	return r, nil
}
