//go:build vm

package watchdog

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest"
)

// within is W for the timing below: what an ordinary renewal leaves of the hold.
const within = 11 * time.Second

// serving runs a payload under the watchdog, and returns once both are there.
func serving(t *testing.T) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(testkit.Binary(t), "run", "--lock", "file://"+dir+"/lock", "--holder", "vm", "--fence-watchdog", "/dev/watchdog",
		"--hold", "15s", "--heartbeat", "1s", "--try-timeout", "1s", "--tries", "2", "--grace", "1s", "--kill-budget", "1s",
		"--reason-file", filepath.Join(dir, "reason"), "--", "sleep", "1000")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testkit.Wait(t, time.Minute, func() (bool, string) {
		return state(t) == "active" && len(tasks("sleep")) > 0, "watchdog " + state(t)
	})
	return cmd
}

// state is the kernel's own word on the device.
func state(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/sys/class/watchdog/watchdog0/state")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// tasks are the processes whose program has that name.
func tasks(program string) (pids []int) {
	found, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range found {
		target, err := os.Readlink(link)
		if pid, perr := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil && perr == nil && filepath.Base(target) == program {
			pids = append(pids, pid)
		}
	}
	return pids
}

// An ordinary stop lets the watchdog go, and the machine live.
func TestRunDisarms(t *testing.T) {
	vmtest.Inside(t)
	cmd := serving(t)
	<-time.After(within + 2*time.Second) // petted: the machine's survival is what is waited for
	if s := state(t); s != "active" {
		t.Errorf("%s while the payload runs", s)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var end *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &end) || end.ExitCode() != 143 {
		t.Errorf("ended by %v", err)
	}
	if s := state(t); s != "inactive" {
		t.Errorf("%s after the stop", s)
	}
}

// TestZReset is the last: nothing runs after a reset but itself.
func TestZReset(t *testing.T) {
	vmtest.Inside(t)
	switch vmtest.Boot(t) {
	case 0:
		starved(t)
	case 1:
		reboot(t)
	}
}

// starved stops the whole tree of a run, so that nobody kills the payload at its deadline: the machine goes
// instead.
func starved(t *testing.T) {
	serving(t)
	vmtest.ExpectReset(t)
	for _, pid := range tasks(filepath.Base(testkit.Binary(t))) {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	<-time.After(within + 20*time.Second)
	t.Fatal(fmt.Sprint("the machine was not reset: watchdog ", state(t)))
}
