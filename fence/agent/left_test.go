package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/fence/warden"
	"github.com/interlock-run/interlock/internal/process"
	"github.com/interlock-run/interlock/internal/testkit"
)

// An agent that hangs is killed with all that it started, and nothing is known.
func TestHanging(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	a := script(t, fmt.Sprintf(`echo off at rack 7; sleep 1000 & echo $! >%[1]s.new; mv %[1]s.new %[1]s; sleep 1000`, pids))
	var began time.Time
	var err error
	for a.Timeout = 2 * time.Second; a.Timeout < time.Minute; a.Timeout *= 2 { // until it has come so far
		began = time.Now()
		err = a.Off(t.Context(), "n1", nil)
		if _, missing := os.Stat(pids); missing == nil {
			break
		}
	}
	if !errors.Is(err, ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "rack 7") {
		t.Errorf("%v: expected unknown, by its time, with what the agent had said", err)
	}
	if took := time.Since(began); took > a.Timeout+30*time.Second {
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

// What left the agent's group, or its parents, dies with it too.
func TestLeftTheGroup(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	a := script(t, slipsAway(pids)+` [ $A = status ] && exit 2; exit 0`)
	if err := a.Off(t.Context(), "n1", nil); err != nil {
		t.Error(err)
	}
	gone(t, pids)
}

// slipsAway is how a script starts three processes that do not go with it, and notes their numbers.
func slipsAway(pids string) string {
	return fmt.Sprintf("sh -c 'echo $$ >>%[1]s; exec sleep 1000' & setsid sh -c 'echo $$ >>%[1]s; exec sleep 1000' & "+
		"(setsid sh -c 'echo $$ >>%[1]s; exec sleep 1000' &) & until [ $(wc -l <%[1]s) -ge 3 ]; do sleep 0.1; done;", pids)
}

// callFrom is the variable by which this test binary calls an agent and waits.
const callFrom = "FENCE_TEST_CALLER"

func callAndWait(path string) int {
	a := Agent{Path: path, Options: Options{port: true}, Timeout: time.Hour, Env: []string{"PATH=" + os.Getenv("PATH")}}
	fmt.Fprintln(os.Stderr, a.Off(context.Background(), "n1", nil))
	return 1
}

// Whoever called the agent is killed: a fence that nobody waits for any more does not go on, nor what it had started.
func TestCallerIsKilled(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	a := script(t, slipsAway(pids)+` echo $$ $PPID all >>`+pids+`; sleep 1000`)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), callFrom+"="+a.Path)
	caller := testkit.StartCmd(t, cmd)
	testkit.Wait(t, time.Minute, func() (bool, string) {
		all, _ := os.ReadFile(pids)
		return strings.HasSuffix(string(all), "all\n"), fmt.Sprintf("%q: the agent has not begun", all)
	})
	caller.Signal(t, unix.SIGKILL)
	gone(t, pids)
}

// Who signals the whole tree means the payload, not the warden.
func TestWardenIsSignalled(t *testing.T) {
	a := script(t, `kill -TERM $PPID; kill -INT $PPID; kill -HUP $PPID; [ $A = status ] && exit 2; exit 0`)
	if err := a.Off(t.Context(), "n1", nil); err != nil {
		t.Error(err)
	}
}

// A warden that is killed has no word for what became of the agent, which dies with it.
func TestWardenIsKilled(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	a := script(t, `echo $$ >>`+pids+`; kill -KILL $PPID; exec sleep 1000`)
	if err := a.Off(t.Context(), "n1", nil); !errors.Is(err, ErrUnknown) || !errors.Is(err, warden.ErrNoReport) {
		t.Error(err)
	}
	gone(t, pids)
}

// An agent that starts only after its time is up, because its start hung, does not go on.
func TestLateStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := script(t, `exec sleep 1000`)
	ended := make(chan ending, 1)
	go func() { ended <- wait(ctx, a.Path, "action=off\n", a.Env, &tail{}, make(chan func(), 1)) }()
	if e := testkit.Recv(t, time.Minute, "the agent's end", ended); e.err == nil {
		t.Errorf("ended with exit status %d: expected it to be killed", e.code)
	}
}

// gone waits until none of the numbers in a file is a living process.
func gone(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(string(data)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			continue
		}
		if why, ok := testkit.Poll(time.Minute, func() (bool, string) {
			s, err := process.Read(pid)
			return err != nil || s.Ended(), fmt.Sprintf("what the agent had started, %d, lives", pid)
		}); !ok {
			t.Error(why)
			_ = unix.Kill(pid, unix.SIGKILL) // started by this test
		}
	}
}
