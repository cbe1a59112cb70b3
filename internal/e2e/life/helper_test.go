package life

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// helperWord makes this test binary a payload: it says what reached it.
const helperWord = "life-helper"

// help is the payload's side of the tests.
func help(args []string) int {
	switch args[0] {
	case "argv":
		return printJSON(args[1:])
	case "cat":
		_, err := io.Copy(os.Stdout, os.Stdin)
		fmt.Fprintf(os.Stderr, "eof %v\n", err)
		return 0
	case "signals":
		return noteSignals(args[1])
	case "lines":
		for i := range 2000 {
			fmt.Fprintf(os.Stderr, "payload line %d %s\n", i, strings.Repeat("x", i%300))
		}
		return 0
	}
	return 99
}

func printJSON(v any) int {
	if err := json.NewEncoder(os.Stdout).Encode(v); err != nil {
		return 98
	}
	return 0
}

// noteSignals writes one line for each signal that came. A signal of the ending kind ends it, after a
// while in which a second one would be seen.
func noteSignals(path string) int {
	in := make(chan os.Signal, 64)
	signal.Notify(in, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return 97
	}
	foreground, terr := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	fmt.Fprintf(f, "begin pid=%d pgrp=%d foreground=%d,%v\n", os.Getpid(), unix.Getpgrp(), foreground, terr == nil)
	var end <-chan time.Time
	for {
		select {
		case s := <-in:
			n := s.(syscall.Signal)
			fmt.Fprintf(f, "signal %d\n", int(n))
			if n == syscall.SIGTERM || n == syscall.SIGINT || n == syscall.SIGQUIT {
				end = time.After(300 * time.Millisecond)
			}
		case <-end:
			fmt.Fprintln(f, "end")
			return 23
		}
	}
}

// helper is the argv of this binary as a payload.
func helper(t testing.TB, args ...string) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{self, helperWord}, args...)
}

// A listener is a payload that notes its signals.
type listener struct{ path string }

func listen(t testing.TB, s *scene.Scene) (listener, scene.Option) {
	l := listener{filepath.Join(s.Dir, "signals")}
	return l, scene.Command(helper(t, "signals", l.path)...)
}

func (l listener) text(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(l.path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}

// began waits until the payload can take signals.
func (l listener) began(t testing.TB) {
	t.Helper()
	testkit.Wait(t, 20*time.Second, func() (bool, string) {
		return strings.Contains(l.text(t), "\n"), "the payload has not begun"
	})
}

// count is how many signals of that number came.
func (l listener) count(t testing.TB, sig syscall.Signal) int {
	t.Helper()
	return strings.Count(l.text(t)+"\n", fmt.Sprintf("signal %d\n", int(sig)))
}

// got waits for the first signal of that number.
func (l listener) got(t testing.TB, sig syscall.Signal) {
	t.Helper()
	testkit.Wait(t, 10*time.Second, func() (bool, string) { return l.count(t, sig) > 0, fmt.Sprintf("no %v: %s", sig, l.text(t)) })
}

// calm is a scene for tests that wait for no hold: with a scene's own quick timing a guard that a loaded
// machine holds up for half a second is taken over, which is another test's matter.
func calm(t testing.TB) *scene.Scene {
	t.Helper()
	s := scene.New(t)
	s.Timing = []string{"--kill-budget", "3s", "--heartbeat", "1s"}
	return s
}

// start runs the binary as it is, without what a scene adds.
func start(t testing.TB, change func(*exec.Cmd), args ...string) *testkit.Process {
	t.Helper()
	cmd := exec.Command(testkit.Binary(t), args...)
	if change != nil {
		change(cmd)
	}
	return testkit.StartCmd(t, cmd)
}

// plain is a run with nothing but lock, data and timing, and what is added.
func plain(s *scene.Scene, more ...string) []string {
	return append(append([]string{"run", "--lock", s.Lock, "--data", s.Data}, s.Timing...), more...)
}

// nothingLeft fails if a process of the tree still runs once its top has ended.
func nothingLeft(t testing.TB, tree testkit.Tree) {
	t.Helper()
	if left := tree.Alive(); len(left) > 0 {
		t.Errorf("processes %v outlived interlock", left)
	}
}
