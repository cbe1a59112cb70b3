package vmtest

import (
	"context"
	"errors"
	"os/exec"
	"strings"
)

// Fence runs a fence agent at the server's end, as interlock does: all that it is told is on its standard
// input, a line each. It gives the exit code and what was said.
func (l Link) Fence(script string, told ...string) (code int, said string) {
	t := l.t
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	args := l.args("exec " + Script(script))
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(strings.Join(told, "\n") + "\n")
	out, err := cmd.CombinedOutput()
	var end *exec.ExitError
	if err != nil && !errors.As(err, &end) {
		t.Fatalf("%s: %v", script, err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// FenceOff is off, then status, which have to end as interlock wants it before it believes them.
func (l Link) FenceOff(script string, told ...string) {
	t := l.t
	t.Helper()
	for _, step := range []struct {
		action string
		code   int
	}{{"off", 0}, {"status", 2}} {
		if code, said := l.Fence(script, append(told, "action="+step.action)...); code != step.code {
			t.Fatalf("%s: action=%s ended with %d, not %d: %s", script, step.action, code, step.code, said)
		}
	}
}
