package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
)

// An agent that hangs is killed with all that it started, and nothing is known.
func TestHanging(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	a := script(t, fmt.Sprintf(`echo off at rack 7; sleep 1000 & echo $! >%s; sleep 1000`, pids))
	a.Timeout = 2 * time.Second
	began := time.Now()
	err := a.Off(t.Context(), "n1", nil)
	if !errors.Is(err, ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "rack 7") {
		t.Errorf("%v: expected unknown, by its time, with what the agent had said", err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
	gone(t, pids)
}

// What an agent leaves behind dies with it, and keeps nobody waiting by the pipe that it holds.
func TestLeftBehind(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	a := script(t, fmt.Sprintf(`sleep 1000 & echo $! >%s; [ $A = status ] && exit 2; exit 0`, pids))
	if err := a.Off(t.Context(), "n1", nil); err != nil {
		t.Error(err)
	}
	gone(t, pids)
}

// What left the agent's group cannot be killed with it, but its pipe keeps nobody waiting.
func TestLeftTheGroup(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	a := script(t, fmt.Sprintf(`setsid sleep 1000 & echo $! >>%s; [ $A = status ] && exit 2; exit 0`, pids))
	t.Cleanup(func() {
		data, _ := os.ReadFile(pids)
		for _, line := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(line); err == nil {
				_ = unix.Kill(pid, unix.SIGKILL) // started by this test
			}
		}
	})
	if err := a.Off(t.Context(), "n1", nil); err != nil {
		t.Error(err)
	}
}

// An agent that starts only after its time is up, because its start hung, does not go on.
func TestLateStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := script(t, `exec sleep 1000`)
	ended := make(chan ending, 1)
	go func() { ended <- wait(ctx, a.Path, "action=off\n", a.Env, &tail{}, make(chan int, 1)) }()
	if e := testkit.Recv(t, time.Minute, "the agent's end", ended); e.err == nil {
		t.Errorf("ended with exit status %d: expected it to be killed", e.code)
	}
}

func gone(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(data), &pid); err != nil {
		t.Fatal(err)
	}
	testkit.Wait(t, 10*time.Second, func() (bool, string) {
		state, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return errors.Is(unix.Kill(pid, 0), unix.ESRCH) || strings.Contains(string(state), ") Z "), "the agent's child lives"
	})
}
