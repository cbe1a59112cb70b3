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
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// watchOnly makes the test binary an agent that watches one mount until it is killed.
const watchOnly = "MOUNTCHECK_TEST_WATCH"

func watchAndWait(dir string) int {
	w, err := Watch(context.Background(), Config{Expect: []Expect{{Path: dir}}, Period: 20 * time.Millisecond})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for f := range w.Findings() {
		fmt.Println(f.Kind, w.plan.targets[0].prober.helper.proc.Pid)
	}
	return 0
}

// A helper must not outlive its agent, not even a stopped one, which does not see the socket close.
func TestNoHelperOutlivesItsAgent(t *testing.T) {
	dir := tmpfs(t, "orphan")
	for _, stop := range []bool{false, true} {
		agent := exec.Command("/proc/self/exe")
		agent.Env = append(os.Environ(), watchOnly+"="+dir)
		agent.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		agent.Stderr = os.Stderr
		out, err := agent.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := agent.Start(); err != nil {
			t.Fatal(err)
		}
		fd := helperOf(t, bufio.NewScanner(out), stop)
		if err := agent.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = agent.Wait() // it was killed
		waitGone(t, fd)
	}
}

// helperOf is a pidfd of the helper that the agent names.
func helperOf(t *testing.T, out *bufio.Scanner, stop bool) int {
	t.Helper()
	if !out.Scan() {
		t.Fatal("the agent said nothing")
	}
	kind, text, _ := strings.Cut(out.Text(), " ")
	pid, err := strconv.Atoi(text)
	if kind != string(OK) || err != nil {
		t.Fatalf("the agent said %q", out.Text())
	}
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || bytes.Contains(environment, []byte(watchOnly)) {
		t.Errorf("the helper's environment is %q, %v", environment, err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	if stop {
		if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
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
