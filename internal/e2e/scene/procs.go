package scene

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

// Guard is the pid of the job's guard, also where the job was started through a wrapper: the agent's parent.
func (j *Job) Guard(t testing.TB) int {
	t.Helper()
	return statusNumber(t, j.Agent(t), "PPid")
}

// Helpers are the pids of the agent's own children: the probe helpers.
func (j *Job) Helpers(t testing.TB) []int {
	t.Helper()
	var pids []int
	agent := j.Agent(t)
	for _, pid := range testkit.Descendants(agent) {
		if testkit.Parent(pid) == agent {
			pids = append(pids, pid)
		}
	}
	return pids
}

// WholeTree are the guard and all below it.
func (j *Job) WholeTree(t testing.TB) []int {
	t.Helper()
	guard := j.Guard(t)
	return append([]int{guard}, testkit.Descendants(guard)...)
}

// statusNumber reads one number of /proc/PID/status.
func statusNumber(t testing.TB, pid int, field string) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		name, value, _ := strings.Cut(line, ":")
		if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && name == field {
			return n
		}
	}
	t.Fatalf("/proc/%d/status has no number %s", pid, field)
	return 0
}

// Kill sends a signal to one process, which must exist.
func Kill(t testing.TB, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("kill -%d %d: %v", int(sig), pid, err)
	}
}

// Socket is where the job's health server listens.
func (j *Job) Socket() string { return j.socket }
