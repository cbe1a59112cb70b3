package life

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A MiB of random bytes goes in through a pipe and comes out byte for byte; the close of stdin is seen.
func TestStdinToStdout(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(t *testing.T, isolate scene.Option) {
		s := calm(t)
		data := make([]byte, 1<<20)
		if _, err := rand.Read(data); err != nil {
			t.Fatal(err)
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		a := s.Run(t, "a", isolate, scene.Command(helper(t, "cat")...), scene.Cmd(func(c *exec.Cmd) { c.Stdin = r }))
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		wrote := make(chan error, 1)
		go func() {
			_, err := io.Copy(w, bytes.NewReader(data))
			wrote <- err
		}()
		if err := testkit.Recv(t, limit, "the end of writing", wrote); err != nil {
			t.Errorf("stdin: %v", err)
		}
		if st := a.Serving(t); st.Payload.PID == 0 {
			t.Error("the payload has ended before its stdin was closed")
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		a.Expect(t, limit, 0)
		if out := a.Stdout(t); out != string(data) {
			t.Errorf("stdout has %d bytes: expected the %d that went in", len(out), len(data))
		}
		if !strings.Contains(a.Stderr(t), "eof <nil>\n") {
			t.Error("the payload's stderr did not arrive")
		}
	})
}

// The payload's stderr lines arrive whole and in order among ours, and ours are JSON, each of them.
func TestStderrIsNotMixed(t *testing.T) {
	t.Parallel()
	s := calm(t)
	a := start(t, nil, append(plain(s, "--"), helper(t, "lines")...)...)
	if code := a.Wait(t, limit); code != 0 {
		t.Errorf("ended with %d", code)
	}
	next := 0
	for line := range strings.Lines(a.Stderr(t)) {
		if strings.HasPrefix(line, "{") {
			if !json.Valid([]byte(line)) {
				t.Errorf("not JSON: %q", line)
			}
			continue
		}
		if want := fmt.Sprintf("payload line %d %s\n", next, strings.Repeat("x", next%300)); line != want {
			t.Fatalf("line %q: expected %q", line, want)
		}
		next++
	}
	if next != 2000 {
		t.Errorf("%d lines of the payload: expected 2000", next)
	}
	if out := a.Stdout(t); out != "" {
		t.Errorf("stdout has %q: expected nothing of ours", out)
	}
}

// Descriptor 5 reaches the payload at its number, and no descriptor of ours does.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(t *testing.T, isolate scene.Option) {
		s := calm(t)
		file, err := os.Create(filepath.Join(s.Dir, "five"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		command := []string{"sh", "-c", "echo five >&5; for f in /proc/$$/fd/*; do echo ${f##*/}; done"}
		five := func(c *exec.Cmd) { c.ExtraFiles = []*os.File{nil, nil, file} }
		bare := exec.Command(command[0], command[1:]...)
		five(bare)
		p := testkit.StartCmd(t, bare)
		if code := p.Wait(t, limit); code != 0 {
			t.Fatalf("the command alone ends with %d", code)
		}
		a := s.Run(t, "a", isolate, scene.Command(command...), scene.Cmd(five))
		a.Expect(t, limit, 0)
		if b, err := os.ReadFile(file.Name()); err != nil || string(b) != "five\nfive\n" {
			t.Errorf("descriptor 5: %q, %v", b, err)
		}
		if out := a.Stdout(t); out != p.Stdout(t) {
			t.Errorf("the payload has descriptors %q: expected %q", strings.Fields(out), strings.Fields(p.Stdout(t)))
		}
	})
}

// What was opened before the limit was lowered is there, and cannot be passed on: that is said before the lock is asked for.
func TestDescriptorAboveTheLimit(t *testing.T) {
	t.Parallel()
	s := calm(t)
	for soft, code := range map[string]int{"-Sn": 3, "-n": 70} {
		j := s.Run(t, "a"+soft, scene.Command("bash", "-c", ": <&200; exit 3"), scene.Wrapped(func(_ testing.TB, argv ...string) []string {
			return append([]string{"bash", "-c", `exec 200</dev/null; ulimit ` + soft + ` 64; exec "$@"`, "bash"}, argv...)
		}))
		j.Expect(t, limit, code)
		if log := j.Stderr(t); code == 70 && !strings.Contains(log, "descriptor 200 was open at the start, and the limit of open files is 64") {
			t.Errorf("%s", log)
		}
	}
}

func TestArgvIsUntouched(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(t *testing.T, isolate scene.Option) {
		s := calm(t)
		argv := []string{"", "a b", "$HOME `id` *", "--", "--lock", "-h", "--generate-bash-completion", "", "a\nb", "é\xff", `"'\`, ""}
		a := s.Run(t, "a", isolate, scene.Command(helper(t, append([]string{"argv"}, argv...)...)...))
		a.Expect(t, limit, 0)
		want, err := json.Marshal(argv)
		if err != nil {
			t.Fatal(err)
		}
		if out := a.Stdout(t); strings.TrimSpace(out) != string(want) {
			t.Errorf("argv %s: expected %s", out, want)
		}
	})
}

// environ is the INTERLOCK_ part of a file with an environment, by name.
func environ(t *testing.T, path string) (ours map[string]string, all string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ours = map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if strings.HasPrefix(name, "INTERLOCK_") {
			ours[name] = value
		}
	}
	return ours, string(b)
}

// The payload gets the inherited environment, ours without any setting of interlock, and hooks get the
// payload's number as seen from outside.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(t *testing.T, isolate scene.Option) {
		s := calm(t)
		file, hook := filepath.Join(s.Dir, "environ"), filepath.Join(s.Dir, "hook")
		a := s.Run(t, "a", isolate, s.Payload(t, "-environ", file), scene.Flags("--hooks-post-start-exec", `["sh", "-c", "env > `+hook+`.new; mv `+hook+`.new `+hook+`"]`),
			scene.Env("PLAIN=kept as it is", "EMPTY=", "INTERLOCK_TRIES=4", "INTERLOCK_DRAIN_BOGUS=secret", "INTERLOCK_TOKEN_FILE=secret"))
		pid := a.Serving(t).Payload.PID
		begun(t, s)
		marked(t, hook)
		ours, all := environ(t, file)
		if !strings.Contains(all, "\nPLAIN=kept as it is\n") || !strings.Contains(all, "\nEMPTY=\n") {
			t.Errorf("inherited variables are missing in %s", all)
		}
		for name, want := range map[string]string{"INTERLOCK_TOKEN": "1", "INTERLOCK_HOLDER": "a", "INTERLOCK_LOCK": s.Lock} {
			if ours[name] != want {
				t.Errorf("%s=%q: expected %q", name, ours[name], want)
			}
		}
		hooked, _ := environ(t, hook)
		if want := fmt.Sprint(pid); hooked["INTERLOCK_PAYLOAD_PID"] != want {
			t.Errorf("INTERLOCK_PAYLOAD_PID=%q in the hook: expected %s", hooked["INTERLOCK_PAYLOAD_PID"], want)
		}
		if want := fmt.Sprint(pid); ours["INTERLOCK_PAYLOAD_PID"] != want {
			t.Errorf("INTERLOCK_PAYLOAD_PID=%q in the payload: expected %s", ours["INTERLOCK_PAYLOAD_PID"], want)
		}
		for _, set := range []map[string]string{ours, hooked} {
			for name := range set {
				if !slices.Contains([]string{"INTERLOCK_TOKEN", "INTERLOCK_HOLDER", "INTERLOCK_LOCK", "INTERLOCK_PAYLOAD_PID"}, name) {
					t.Errorf("%s reached the kill domain", name)
				}
			}
		}
		a.Stop(t)
	})
}
