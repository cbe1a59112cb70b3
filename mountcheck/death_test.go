package mountcheck

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// watchOnly makes the test binary an agent that watches one mount until it is killed.
const watchOnly = "MOUNTCHECK_TEST_WATCH"

// watchTimeout is that agent's stage timeout.
const watchTimeout = "MOUNTCHECK_TEST_TIMEOUT"

func watchAndWait(dir string) int {
	timeout, err := time.ParseDuration(os.Getenv(watchTimeout))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	w, err := Watch(context.Background(), Config{Expect: []Expect{{Path: dir}}, Period: 20 * time.Millisecond, Timeout: timeout})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for f := range w.Findings() {
		fmt.Println(f.Kind, w.plan.targets[0].prober.helper.proc.Pid)
	}
	return 0
}

// startAgent starts one, to be killed by the caller or at the end of the test.
func startAgent(t *testing.T, dir, timeout string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	agent := exec.Command("/proc/self/exe")
	agent.Env = append(os.Environ(), watchOnly+"="+dir, watchTimeout+"="+timeout)
	agent.Stderr = os.Stderr
	out, err := agent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = agent.Process.Kill()
		_ = agent.Wait() // it was killed
	})
	return agent, bufio.NewScanner(out)
}

// A helper must not outlive its agent, not even a stopped one, which does not see the socket close.
func TestNoHelperOutlivesItsAgent(t *testing.T) {
	dir := tmpfs(t, "orphan")
	for _, stop := range []bool{false, true} {
		agent, out := startAgent(t, dir, "5s")
		pid := helperPid(t, out)
		fd := pidfdOf(t, pid)
		if stop {
			if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
		if err := agent.Process.Kill(); err != nil {
			t.Error(err)
		}
		waitGone(t, fd)
	}
}

// helperPid is that of the helper that the agent names with its first verdict.
func helperPid(t *testing.T, out *bufio.Scanner) int {
	t.Helper()
	if !out.Scan() {
		t.Fatal("the agent said nothing")
	}
	kind, text, _ := strings.Cut(out.Text(), " ")
	pid, err := strconv.Atoi(text)
	if kind != string(OK) || err != nil {
		t.Fatalf("the agent said %q", out.Text())
	}
	return pid
}

func pidfdOf(t *testing.T, pid int) int {
	t.Helper()
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || bytes.Contains(environment, []byte(watchOnly)) {
		t.Errorf("the helper's environment is %q, %v", environment, err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func waitGone(t *testing.T, pidfd int) {
	t.Helper()
	defer unix.Close(pidfd)
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	end := time.Now().Add(deadline)
	for {
		n, err := unix.Poll(fds, int(time.Until(end).Milliseconds()))
		if err == unix.EINTR && time.Now().Before(end) {
			continue
		}
		if n != 1 {
			_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
			t.Fatalf("the helper outlived its agent: %v", err)
		}
		return
	}
}
