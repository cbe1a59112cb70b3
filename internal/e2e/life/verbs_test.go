package life

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
)

type checkup struct{ Level, Topic, What, Do string }

// examine runs doctor in both forms, which must agree.
func examine(t *testing.T, want int, args ...string) []checkup {
	t.Helper()
	asJSON := start(t, nil, append([]string{"doctor", "--json"}, args...)...)
	asText := start(t, nil, append([]string{"doctor"}, args...)...)
	code, textCode := asJSON.Wait(t, 2*limit), asText.Wait(t, 2*limit)
	var all []checkup
	if err := json.Unmarshal([]byte(asJSON.Stdout(t)), &all); err != nil || code != want {
		t.Fatalf("doctor --json %q: %d, %v: expected %d: %s %s", args, code, err, want, asJSON.Stdout(t), asJSON.Stderr(t))
	}
	text := asText.Stdout(t)
	if textCode != code || strings.Count(text, "\n") != len(all) {
		t.Errorf("doctor %q: code %d and %d lines: expected %d and %d as with --json", args, textCode, strings.Count(text, "\n"), code, len(all))
	}
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if !strings.HasPrefix(line, all[i].Level) {
			t.Errorf("line %q: expected level %s", line, all[i].Level)
		}
	}
	return all
}

func has(all []checkup, level, topic string) bool {
	return slices.ContainsFunc(all, func(c checkup) bool { return c.Level == level && c.Topic == topic })
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	s := calm(t)
	before, err := os.ReadDir(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	all := examine(t, 0, "--lock", s.Lock, "--data", s.Data)
	for _, topic := range []string{"kill mode", "lock", "mount", "limits"} {
		if !has(all, "ok", topic) {
			t.Errorf("nothing ok about %s: %v", topic, all)
		}
	}
	if has(all, "warn", "lock") {
		t.Errorf("a warning about a fresh lock file, which owes nothing: %v", all)
	}
	after, err := os.ReadDir(s.Dir)
	if err != nil || len(after) != len(before) {
		t.Errorf("doctor left %v, %v", after, err)
	}
	if code, _, errs := scene.Interlock(t, "doctor", "--hold", "x"); code != 78 || errs == "" {
		t.Errorf("doctor with a bad flag: %d %q", code, errs)
	}
}

// The exit code is that of the first failure, with the way out in its line.
func TestDoctorFails(t *testing.T) {
	t.Parallel()
	s := calm(t)
	link := filepath.Join(s.Dir, "link")
	if err := os.Symlink(s.Data, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code  int
		topic string
		args  []string
	}{
		{73, "mount", []string{"--data", s.Data + "/missing"}},
		{73, "data", []string{"--data", link}},
		{72, "mount", []string{"--data", s.Data, "--mount", s.Data}},
		{69, "lock", []string{"--lock", "etcd://127.0.0.1:1/x"}},
		{69, "lock", []string{"--lock", "zk://127.0.0.1:1/x"}},
	} {
		t.Run(c.args[len(c.args)-1], func(t *testing.T) {
			t.Parallel()
			all := examine(t, c.code, c.args...)
			if !has(all, "fail", c.topic) {
				t.Errorf("no failure of %s in %v", c.topic, all)
			}
			for _, line := range all {
				if line.Level != "ok" && (line.What == "" || line.Do == "") {
					t.Errorf("%+v does not say what or what to do", line)
				}
			}
		})
	}
}

func TestCheckConfig(t *testing.T) {
	t.Parallel()
	s := calm(t)
	file := filepath.Join(s.Dir, "interlock.yaml")
	if err := os.WriteFile(file, []byte("lock:\n  url: file:///from/file\ntiming:\n  hold: 30s\n  tries: 4\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	type shown struct {
		Values []struct {
			Key, Source string
			Value       any
		}
		Errors []struct{ Where, What string }
	}
	check := func(want int, env []string, args ...string) (shown, string) {
		t.Helper()
		p := start(t, func(c *exec.Cmd) { c.Env = append(os.Environ(), env...) }, append([]string{"check-config"}, args...)...)
		if code := p.Wait(t, limit); code != want {
			t.Errorf("check-config %q: %d: expected %d: %s", args, code, want, p.Stderr(t))
		}
		var out shown
		if slices.Contains(args, "--json") {
			if err := json.Unmarshal([]byte(p.Stdout(t)), &out); err != nil {
				t.Errorf("check-config %q: %v: %s", args, err, p.Stdout(t))
			}
		}
		return out, p.Stdout(t) + p.Stderr(t)
	}
	good, _ := check(0, []string{"INTERLOCK_HOLD=40s", "INTERLOCK_LOCK=file:///from/variable"}, "--json", "--config", file, "--lock", "file:///from/flag")
	sources := map[string]string{}
	for _, v := range good.Values {
		sources[v.Key] = v.Source
	}
	for key, want := range map[string]string{"lock.url": "--lock", "timing.hold": "INTERLOCK_HOLD", "timing.grace": "default"} {
		if sources[key] != want {
			t.Errorf("%s comes from %q: expected %s", key, sources[key], want)
		}
	}
	if sources["timing.tries"] == "default" || sources["timing.tries"] == "" {
		t.Errorf("timing.tries comes from %q: expected the file", sources["timing.tries"])
	}
	bad := []string{"--lock", "x", "--hold", "1", "--tries", "0", "--isolate", "vm"}
	if out, _ := check(78, nil, append(bad, "--json")...); len(out.Errors) != 4 {
		t.Errorf("%+v: expected all four mistakes", out.Errors)
	}
	if _, text := check(78, nil, bad...); !strings.Contains(text, "--lock") || !strings.Contains(text, "--hold") || !strings.Contains(text, "--tries") || !strings.Contains(text, "--isolate") {
		t.Errorf("%s: expected all four mistakes", text)
	}
	check(78, nil) // no lock at all
	if err := os.WriteFile(file, []byte("lock:\n  url: file:///x\n  surprise: 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	check(78, nil, "--config", file)
	check(78, nil, "--config", file+".missing")
}

func TestVersion(t *testing.T) {
	t.Parallel()
	code, text, _ := scene.Interlock(t, "version")
	jsonCode, out, _ := scene.Interlock(t, "version", "--json")
	var v struct{ Version, Go, Platform string }
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || jsonCode != 0 || v.Version == "" || v.Go == "" {
		t.Fatalf("%d %d %v %+v", code, jsonCode, err, v)
	}
	if !strings.HasPrefix(text, "interlock "+v.Version) || strings.Count(text, "\n") != 1 {
		t.Errorf("%q: expected one line with %s", text, v.Version)
	}
}

// The log is JSON where stderr is no terminal, each line of it, also of a run that ends badly.
func TestLogIsJSON(t *testing.T) {
	t.Parallel()
	s := calm(t)
	for _, c := range []struct {
		code int
		argv []string
	}{{0, []string{"true"}}, {3, []string{"sh", "-c", "exit 3"}}, {127, []string{"no-such-command"}}} {
		p := start(t, nil, append(plain(s, "--log-level", "debug", "--"), c.argv...)...)
		if code := p.Wait(t, limit); code != c.code {
			t.Errorf("%q ended with %d: expected %d", c.argv, code, c.code)
		}
		n := 0
		for line := range strings.Lines(p.Stderr(t)) {
			var entry struct{ Time, Level, Msg string }
			if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time == "" || entry.Level == "" || entry.Msg == "" {
				t.Errorf("%q: line %q: %v", c.argv, line, err)
			}
			n++
		}
		if n < 5 {
			t.Errorf("%q: %d lines: expected one for each change of state", c.argv, n)
		}
	}
	p := start(t, nil, plain(s, "--log-format", "text", "--", "true")...)
	if p.Wait(t, limit); strings.Contains(p.Stderr(t), "{\"") || p.Stderr(t) == "" {
		t.Errorf("--log-format text: %s", p.Stderr(t))
	}
}
