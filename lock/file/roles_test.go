package file

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/lock"
)

// roleVar makes the test binary one of the processes below instead of a test run.
const roleVar = "FILE_TEST_ROLE"

func TestMain(m *testing.M) {
	roles := map[string]func() error{
		"hold": holdRole, "share": shareRole, "keep": keepRole, "count": countRole, "open": openRole, "proof": proofRole,
	}
	role, ok := roles[os.Getenv(roleVar)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := role(); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// testSettings are those of the suite's timing.
func testSettings(holder string) lock.Settings {
	return lock.Settings{
		Timing: lock.Timing{Hold: 3 * time.Second, Heartbeat: 300 * time.Millisecond, TryTimeout: time.Second, Tries: 2},
		Holder: holder, Node: "node", Clock: clock.Now, Log: func(string, ...any) {},
	}
}

// grantedPlace opens, joins and waits.
func grantedPlace(path, holder string) (*place, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p, err := joinedPlace(ctx, path, holder)
	if err != nil {
		return nil, err
	}
	return p, p.Await(ctx, func(lock.Version, clock.Stamp) {})
}

func joinedPlace(ctx context.Context, path, holder string) (*place, error) {
	d, err := Open(ctx, fileURL(path), testSettings(holder))
	if err != nil {
		return nil, err
	}
	p, err := d.Join(ctx)
	if err != nil {
		return nil, err
	}
	return p.(*place), nil
}

// holdRole holds the lock until its standard input ends, and then dies without a word.
func holdRole() error {
	p, err := grantedPlace(os.Args[1], "holder")
	if err != nil {
		return err
	}
	if _, err := p.Write(context.Background(), []byte("running"), lock.Version{}); err != nil {
		return err
	}
	fmt.Println("token", p.RawToken())
	return untilEOF()
}

// shareRole holds the lock and starts a child; with PASS set the child gets the descriptor.
func shareRole() error {
	p, err := grantedPlace(os.Args[1], "holder")
	if err != nil {
		return err
	}
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), roleVar+"=keep")
	child.Stdin = os.Stdin
	if os.Getenv("PASS") != "" {
		child.ExtraFiles = []*os.File{p.Descriptor()}
	}
	if err := child.Start(); err != nil {
		return err
	}
	fmt.Println("child", child.Process.Pid)
	return untilEOF()
}

// keepRole lives.
func keepRole() error { return untilEOF() }

func untilEOF() error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// countRole adds one to the number in a file that only the lock guards.
func countRole() error {
	if err := untilEOF(); err != nil { // the start shot
		return err
	}
	p, err := grantedPlace(os.Args[1], "counter")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(os.Args[2])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		return err
	}
	if err := os.WriteFile(os.Args[2], []byte(strconv.Itoa(n+1)), 0o600); err != nil {
		return err
	}
	got, err := p.Read(context.Background())
	if err != nil {
		return err
	}
	r, err := p.Release(context.Background(), []byte("drained"), got.Version)
	if err != nil || r.Outcome != lock.Committed {
		return fmt.Errorf("release: outcome %v, error %v", r.Outcome, err)
	}
	fmt.Println("token", p.RawToken())
	return nil
}

// openRole says what Open and Join come to.
func openRole() error {
	_, err := joinedPlace(context.Background(), os.Args[1], "opener")
	fmt.Println("result", err)
	return nil
}

// proofRole says what ProvenEmpty comes to, on request with a /proc of its own.
func proofRole() error {
	if os.Getenv("MOUNT") != "" {
		if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		if err := unix.Mount("proc", "/proc", "proc", 0, os.Getenv("MOUNT")); err != nil {
			return err
		}
	}
	var d Domain
	if err := json.Unmarshal([]byte(os.Args[1]), &d); err != nil {
		return err
	}
	empty, how := ProvenEmpty(d)
	fmt.Println("empty", empty, how)
	return nil
}

// A started is a process in one of the roles. It is killed and reaped at the end of the test.
type started struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
	done  bool
}

// start runs a role of the test binary; change may alter the command first.
func start(t *testing.T, role string, change func(*exec.Cmd), args ...string) *started {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.Stderr = os.Stderr
	if change != nil {
		change(cmd)
	}
	input, stdin, err := os.Pipe() // not StdinPipe: grandchildren keep it beyond Wait
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(ignoreClosed(stdin.Close()), ignoreClosed(input.Close()))) })
	cmd.Stdin = input
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	p := &started{t: t, cmd: cmd, stdin: stdin, lines: bufio.NewScanner(stdout)}
	t.Cleanup(p.kill)
	return p
}

// ignoreClosed lets a test close early what the cleanup closes again.
func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// says waits for a line that begins with word, and gives the rest of it.
func (p *started) says(word string) string {
	p.t.Helper()
	if !p.lines.Scan() {
		p.t.Fatalf("the process ended without a word (%v)", p.lines.Err())
	}
	rest, ok := strings.CutPrefix(p.lines.Text(), word+" ")
	if !ok {
		p.t.Fatalf("the process said %q, expected %s", p.lines.Text(), word)
	}
	return rest
}

// kill is SIGKILL and reap; the second time it does nothing.
func (p *started) kill() {
	if p.done {
		return
	}
	p.done = true
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Logf("kill: %v", err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Logf("ended: %v", err)
	}
}

// killPid ends a process that a process of ours started, by its number.
func killPid(t *testing.T, pid int) {
	t.Helper()
	must(t, syscall.Kill(pid, syscall.SIGKILL))
}
