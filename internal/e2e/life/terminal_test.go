package life

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A terminal is the master side of a pty, and what was shown on it.
type terminal struct {
	master *os.File
	mu     sync.Mutex
	shown  bytes.Buffer
}

// openTerminal gives a terminal and what makes it a command's controlling one.
func openTerminal(t *testing.T) (*terminal, func(*exec.Cmd)) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		testkit.Skip(t, "pty", err.Error())
	}
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{master: master}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(term, master) // ends with EIO when the last slave is closed
	}()
	t.Cleanup(func() { slave.Close(); <-done; master.Close() })
	return term, func(c *exec.Cmd) {
		c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	}
}

func (m *terminal) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shown.Write(b)
}

func (m *terminal) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shown.String()
}

func (m *terminal) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := m.master.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// On a terminal the payload is its foreground, and Ctrl-C reaches it once.
func TestTerminal(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(t *testing.T, isolate scene.Option) {
		s := calm(t)
		term, onTerminal := openTerminal(t)
		l, payload := listen(t, s)
		a := s.Run(t, "a", payload, isolate, scene.Cmd(onTerminal))
		a.Serving(t)
		l.began(t)
		var pid, group, foreground int
		var known bool
		if _, err := fmt.Sscanf(l.text(t), "begin pid=%d pgrp=%d foreground=%d,%t", &pid, &group, &foreground, &known); err != nil {
			t.Fatal(err)
		}
		if !known || foreground != group || group != pid {
			t.Errorf("%s: expected the payload to be the foreground of its terminal", l.text(t))
		}
		term.press(t, "\x03")
		a.Expect(t, prompt, 23)
		if n := l.count(t, syscall.SIGINT); n != 1 || l.count(t, syscall.SIGTERM) != 0 {
			t.Errorf("%s: expected INT once and no TERM", l.text(t))
		}
	})
}

// A payload without a handler ends by Ctrl-C with 130; what it reads and writes is the terminal.
func TestTerminalOfAShell(t *testing.T) {
	t.Parallel()
	s := calm(t)
	term, onTerminal := openTerminal(t)
	mark := filepath.Join(s.Dir, "mark")
	a := s.Run(t, "a", scene.Cmd(onTerminal), scene.Command("sh", "-c", "test -t 0 && test -t 1 && test -t 2 && read line </dev/tty && echo got:$line: && echo >"+mark+" && exec sleep 100"))
	a.Serving(t)
	term.press(t, "hello\n")
	marked(t, mark)
	testkit.Wait(t, limit, func() (bool, string) { return strings.Contains(term.text(), "got:hello:"), term.text() })
	term.press(t, "\x03")
	a.Expect(t, prompt, 130)
}

// The log is text on a terminal.
func TestLogOnATerminalIsText(t *testing.T) {
	t.Parallel()
	s := calm(t)
	term, onTerminal := openTerminal(t)
	p := start(t, onTerminal, plain(s, "--", "true")...)
	if code := p.Wait(t, limit); code != 0 {
		t.Errorf("ended with %d", code)
	}
	testkit.Wait(t, limit, func() (bool, string) { return term.text() != "", "nothing was shown" })
	for line := range strings.Lines(term.text()) {
		if strings.HasPrefix(line, "{") {
			t.Errorf("JSON on a terminal: %q", line)
		}
	}
}

// After the run the terminal is the caller's again: its shell could not read from it otherwise.
func TestTerminalIsGivenBack(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(t *testing.T, isolate scene.Option) {
		s := calm(t)
		_, onTerminal := openTerminal(t)
		out := filepath.Join(s.Dir, "groups")
		shell := scene.Wrapped(func(_ testing.TB, argv ...string) []string {
			return append([]string{"sh", "-c", `"$@"; code=$?; cut -d' ' -f5,8 /proc/self/stat > ` + out + `; exit $code`, "sh"}, argv...)
		})
		s.Run(t, "a", isolate, scene.Cmd(onTerminal), shell, scene.Command("sh", "-c", "exit 4")).Expect(t, limit, 4)
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if f := strings.Fields(string(b)); len(f) != 2 || f[0] != f[1] {
			t.Errorf("group and foreground %q: expected the same", f)
		}
	})
}
