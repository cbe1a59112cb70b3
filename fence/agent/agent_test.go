package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/fence/warden"
	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) {
	if os.Args[0] == warden.Name {
		os.Exit(warden.Main())
	}
	if path := os.Getenv(callFrom); path != "" {
		os.Exit(callAndWait(path))
	}
	testkit.Main(m)
}

func write(t *testing.T, name, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}

// script is an agent that keeps its input in $IN and its action in $A.
func script(t *testing.T, body string) Agent {
	t.Helper()
	path := write(t, "agent", "#!/bin/sh\nIN=$(cat)\nA=$(printf '%s\\n' \"$IN\" | sed -n 's/^action=//p')\n"+body+"\n", 0o755)
	o, err := ReadOptions("")
	if err != nil {
		t.Fatal(err)
	}
	return Agent{Path: path, Options: o, Timeout: time.Minute, Env: os.Environ()}
}

func options(t *testing.T, content string) Options {
	t.Helper()
	o, err := ReadOptions(write(t, "options", content, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// What an agent answers, and what that counts for: only off, then a status that says off.
func TestOff(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want error
		says string
	}{
		"confirmed":     {`[ $A = status ] && exit 2; exit 0`, nil, ""},
		"lying":         {`echo still on >&2; exit 0`, ErrFailed, "still on"},
		"off fails":     {`[ $A = status ] && exit 2; echo no power switch; exit 1`, ErrFailed, "exit status 1: no power switch"},
		"status fails":  {`[ $A = status ] && exit 1; exit 0`, ErrFailed, "expected 2 (off), and said nothing"},
		"off says 2":    {`exit 2`, ErrFailed, "exit status 2"},
		"killed":        {`kill -9 $$`, ErrUnknown, "signal: killed"},
		"without input": {`exec <&-; [ $A = status ] && exit 2; exit 0`, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := script(t, c.body).Off(t.Context(), "n1", nil)
			if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v: expected %v, %q", err, c.want, c.says)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	a := Agent{Path: filepath.Join(t.TempDir(), "nothing"), Timeout: time.Minute}
	if err := a.Off(t.Context(), "n1", nil); !errors.Is(err, ErrUnknown) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("off: %v", err)
	}
	if _, err := a.Check(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("check: %v", err)
	}
	a.Path = write(t, "text", "hello", 0o644)
	if _, err := a.Check(t.Context()); err == nil {
		t.Error("check took a file that cannot be executed")
	}
}

// An agent that was asked what it takes and did not get to answer is not taken for a script that has no answer.
func TestMetadata(t *testing.T) {
	const about = `<resource-agent name="x"><parameters><parameter name="plug" required="1"/></parameters></resource-agent>`
	for name, c := range map[string]struct {
		body string
		good bool
	}{
		"described":       {"echo '" + about + "'", true},
		"no metadata":     {"exit 1", true},
		"says nothing":    {"exit 0", true},
		"not about it":    {"echo hello", true},
		"killed":          {"kill -9 $$", false},
		"hangs":           {"sleep 1000", false},
		"cut in two":      {"echo '" + about[:60] + "'", false},
		"another charset": {`echo '<?xml version="1.0" encoding="koi8-r"?>` + about + "'", false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if !c.good {
				ctx, cancel = context.WithTimeout(t.Context(), 3*time.Second)
			}
			defer cancel()
			a := script(t, c.body)
			a.Options = options(t, "unheard_of=1\n")
			_, err := a.Check(ctx)
			described := name == "described"
			if (err == nil) != (c.good && !described) {
				t.Errorf("%v: expected good %v", err, c.good)
			}
			if described != (err != nil && strings.Contains(err.Error(), "unheard_of")) {
				t.Errorf("%v", err)
			}
		})
	}
}

// The caller's end ends the agent.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	began := filepath.Join(t.TempDir(), "began")
	a := script(t, fmt.Sprintf(`touch %s; sleep 1000`, began))
	done := make(chan error, 1)
	go func() { done <- a.Off(ctx, "n1", nil) }()
	testkit.Wait(t, 30*time.Second, func() (bool, string) {
		_, err := os.Stat(began)
		return err == nil, "the agent has not begun"
	})
	cancel()
	if err := <-done; !errors.Is(err, ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Options go to stdin alone, node by node, and no error shows what may be secret.
func TestInput(t *testing.T) {
	a := script(t, `printf '%s\n' "$IN" "args=$#" "env=$INTERLOCK_FENCE_NODE"; exit 1`)
	a.Options = options(t, "# a comment\nusername=admin\npasswd=s3 cret\nsecret=key of {node}!\nip={node}.mgmt\nverbose=1\n[n1]\nplug=7\n[n2]\nplug=8\npasswd=other\n")
	err := a.Off(t.Context(), "n1", []string{"INTERLOCK_FENCE_NODE=n1"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"action=off", "nodename=n1", "plug=7", "ip=n1.mgmt", "args=0", "env=n1", "passwd=***"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: expected %q", err, want)
		}
	}
	for _, never := range []string{"s3 cret", "admin", "other", "port=", "plug=8", "key of"} {
		if strings.Contains(err.Error(), never) {
			t.Errorf("%v: shows %q", err, never)
		}
	}
	for _, node := range []string{"n3", "", "a b", "a\nb"} {
		if err := a.Off(t.Context(), node, nil); !errors.Is(err, ErrUnknown) {
			t.Errorf("node %q: %v", node, err)
		}
	}
}

func TestRefusedOptions(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
	}{
		"everybody reads":  {"a=b\n", 0o604},
		"the group writes": {"a=b\n", 0o620},
		"no value":         {"hello\n", 0o600},
		"twice":            {"a=1\na=2\n", 0o600},
		"node twice":       {"[n]\n[n]\n", 0o600},
		"open bracket":     {"[n\n", 0o600},
		"action":           {"action=on\n", 0o600},
		"nodename":         {"nodename=x\n", 0o600},
		"odd key":          {"a b=1\n", 0o600},
		"missing is off":   {"missing_as_off=1\n", 0o600},
		"a line in a line": {"a=1\raction=on\n", 0o600},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ReadOptions(write(t, "options", c.content, c.mode)); err == nil {
				t.Error("taken")
			} else {
				t.Log(err)
			}
		})
	}
	if _, err := ReadOptions(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadOptions(fifo); err == nil {
		t.Error("a FIFO was taken")
	}
}

// An exit status counts however fast the agent ended, and a start that hangs is not waited for.
func TestOutcome(t *testing.T) {
	for range 100 {
		begun, ended := make(chan func(), 1), make(chan ending, 1)
		begun <- func() { t.Error("it had ended, and was killed") }
		ended <- ending{code: 3}
		if r, err := outcome(t.Context(), begun, ended, &tail{}); r.code != 3 || err != nil {
			t.Fatalf("exit status %d (%v): expected 3", r.code, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := outcome(ctx, make(chan func()), make(chan ending), &tail{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a start that hangs: %v", err)
	}
}
