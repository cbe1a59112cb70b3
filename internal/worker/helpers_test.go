package worker

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/restore"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// binary is the worker alone, as released or with break points.
func binary(t *testing.T, breaking bool) string {
	t.Helper()
	tags := ""
	if breaking {
		tags = "breakpoints"
	}
	return testkit.Program(t, "./testdata/worker", tags)
}

// command is a worker process that ends with the test at the latest.
func command(t *testing.T, path string, r Request, args ...string) *exec.Cmd {
	t.Helper()
	in, err := EncodeRequest(r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = bytes.NewReader(in)
	return cmd
}

// ask runs the released worker and returns its answer.
func ask(t *testing.T, r Request) Response {
	t.Helper()
	return answerOf(t, command(t, binary(t, false), r))
}

func answerOf(t *testing.T, cmd *exec.Cmd) Response {
	t.Helper()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("worker: %v: %s", err, errs.String())
	}
	answer, err := DecodeResponse(out)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if strings.Contains(answer.Error, "\n") {
		t.Errorf("error of more than a line: %q", answer.Error)
	}
	return answer
}

// killedAt runs the worker with a break point and tells whether it was killed there.
func killedAt(t *testing.T, point string, r Request) bool {
	t.Helper()
	cmd := command(t, binary(t, true), r)
	cmd.Env = append(os.Environ(), "BREAKPOINT="+point+"=kill")
	_, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status, ok := exit.Sys().(syscall.WaitStatus)
		if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
			t.Fatalf("%s: %v", point, err)
		}
		return true
	}
	if err != nil {
		t.Fatalf("%s: %v", point, err)
	}
	return false
}

// scene is a data directory with a state directory beside it.
func scene(t *testing.T) Request {
	t.Helper()
	root := t.TempDir()
	r := Request{Data: filepath.Join(root, "data"), StateDir: filepath.Join(root, ".interlock"), When: restore.WhenEmpty, Script: true, Token: 1, Holder: "a"}
	if err := os.Mkdir(r.Data, 0o755); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r Request) as(op string) Request { r.Op = op; return r }

// claiming is the request that claims with the token and holder of r.
func (r Request) claiming() Request {
	return Request{Op: OpClaim, StateDir: r.StateDir, Mount: r.Mount, Claim: &fence.Claim{Token: r.Token, Holder: r.Holder, Node: "n", BootID: "b", Lock: "file:///l", Since: time.Unix(1e9, 0).UTC()}}
}

func mustOK(t *testing.T, a Response) Response {
	t.Helper()
	if err := a.Err(); err != nil {
		t.Fatal(err)
	}
	return a
}

// fill makes a tree of 6 files and 3 directories: what half a restore leaves.
func fill(t *testing.T, data string) {
	t.Helper()
	err := os.MkdirAll(filepath.Join(data, "a/b/c"), 0o755)
	for _, name := range []string{"x", "y", "a/x", "a/b/x", "a/b/c/x", "a/b/c/y"} {
		err = errors.Join(err, os.WriteFile(filepath.Join(data, name), []byte("half"), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
}

const filled = 9
