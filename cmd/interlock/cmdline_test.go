package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/config"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/lock"
)

// try runs the program in this process.
func try(environ []string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = execute(append([]string{"interlock"}, args...), environ, &out, &errs)
	return code, out.String(), errs.String()
}

// TestArgvUntouched: what stands after the first -- is data, whatever it looks like.
func TestArgvUntouched(t *testing.T) {
	for _, argv := range [][]string{
		{"sh", "-c", "echo hi"}, {"--"}, {"", ""}, {"-h"}, {"--help"}, {"help"}, {"h"}, {"--version"}, {"--json"},
		{"x", "--", "--hold", "1"}, {"--generate-bash-completion"}, {"x", "--generate-bash-completion"},
		{"a,b", "c d", "\xff\xfe", "é", "'", "\n"}, {"--lock", "zk://other/x"}, {"-"}, {"check-config"},
	} {
		own, inv := split(append([]string{"interlock", "check-config", "--"}, argv...))
		if !slices.Equal(inv.command, argv) || !inv.dashed || inv.commandAt != 3 || len(own) != 2 {
			t.Errorf("%q became %q at %d, own %q", argv, inv.command, inv.commandAt, own)
		}
		if !slices.Equal(argv, printedCommand(t, argv)) && argv[0] != "" && argv[0] != "a,b" {
			t.Errorf("%q was printed as %q", argv, printedCommand(t, argv))
		}
	}
}

// printedCommand is the command as check-config --json saw it.
func printedCommand(t *testing.T, argv []string) []string {
	t.Helper()
	_, stdout, stderr := try(nil, append([]string{"check-config", "--lock", "file:///x/y", "--json", "--"}, argv...)...)
	var doc struct{ Command []string }
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil {
		t.Fatalf("%v in %q %q", err, stdout, stderr)
	}
	return doc.Command
}

// TestUsage: every misuse is 64 with one line on stderr and nothing on stdout.
func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"frobnicate"}, {"--frobnicate"}, {"check-config", "--frobnicate"}, {"check-config", "--hold"},
		{"check-config", "stray"}, {"check-config", "--dry-run", "false"}, {"check-config", "--lock", "x", "mysqld"},
		{"check-config", "--json=maybe"}, {"check-config", "help"}, {"check-config", "h"}, {"version", "x"}, {"version", "--", "x"},
		{"help", "frobnicate"}, {"help", "check-config", "x"}, {"--", "mysqld"}, {"check-config", "---"}, {"check-config", "-=x"},
	} {
		code, stdout, stderr := try(nil, args...)
		if code != exit.Usage || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "interlock: ") {
			t.Errorf("%q: code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
}

// TestNoArgs: an exec without even a name must not end in a stack trace.
func TestNoArgs(t *testing.T) {
	var out, errs bytes.Buffer
	if code := execute(nil, nil, &out, &errs); code != exit.Usage {
		t.Errorf("code %d, %s", code, &errs)
	}
}

// TestVerbsAreStrict: each verb, those of other files too, has help on stdout, and 64 for an unknown flag.
func TestVerbsAreStrict(t *testing.T) {
	var walk func(path []string, verbs []*cli.Command)
	walk = func(path []string, list []*cli.Command) {
		for _, verb := range list {
			here := append(slices.Clone(path), verb.Name)
			code, stdout, stderr := try(nil, append(slices.Clone(here), "--help")...)
			if code != 0 || !strings.Contains(stdout, verb.Usage) || verb.Usage == "" || stderr != "" {
				t.Errorf("%q --help: code %d, stdout %q, stderr %q", here, code, stdout, stderr)
			}
			code, stdout, stderr = try(nil, append(slices.Clone(here), "--no-such-flag")...)
			if code != exit.Usage || stdout != "" || strings.Count(stderr, "\n") != 1 {
				t.Errorf("%q --no-such-flag: code %d, stdout %q, stderr %q", here, code, stdout, stderr)
			}
			walk(here, verb.Subcommands)
		}
	}
	walk(nil, verbs())
}

func TestHelp(t *testing.T) {
	_, all, _ := try(nil, "help")
	for _, flag := range []string{"--help", "-h"} {
		if code, text, stderr := try(nil, flag); code != 0 || text != all || stderr != "" {
			t.Errorf("%s: %d, %q: expected 0 and the page of help", flag, code, stderr)
		}
	}
	for _, verb := range verbs() {
		if !verb.Hidden && !strings.Contains(all, verb.Name) {
			t.Errorf("help does not name %s", verb.Name)
		}
	}
	if _, text, _ := try(nil, "help", "exit-codes"); text != exit.Text() {
		t.Errorf("help exit-codes: %q", text)
	}
	code, text, stderr := try(nil, "help", "check-config")
	for _, f := range config.Fields() {
		if !strings.Contains(text, "--"+f.Flag+" ") || !strings.Contains(text, f.Variable()) {
			t.Errorf("help check-config (%d, %q) does not tell --%s and %s", code, stderr, f.Flag, f.Variable())
		}
	}
}

func TestVersion(t *testing.T) {
	_, line, _ := try(nil, "version")
	_, flag, _ := try(nil, "--version")
	if line != flag || !strings.HasPrefix(line, "interlock ") || strings.Count(line, "\n") != 1 {
		t.Errorf("version %q, --version %q", line, flag)
	}
	_, text, _ := try(nil, "version", "--json")
	var b build
	if err := json.Unmarshal([]byte(text), &b); err != nil || b != thisBuild() {
		t.Errorf("%q: %v", text, err)
	}
}

// TestCheckConfig goes once through the printed form: sources, warnings on stderr, all errors with 78.
func TestCheckConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "il.yaml")
	write(t, file, "timing: {hold: 30s}\nmounts: [{path: /a}]\n", 0o600)
	env := []string{"INTERLOCK_CONFIG=" + file, "INTERLOCK_GRACE=4s", "INTERLOCK_PORT=1"}
	code, stdout, stderr := try(env, "check-config", "--lock", "file:///x/y", "--mount", "/b,opts=x+y", "--mount", "/c", "--dry-run")
	for _, want := range []string{"timing.hold " + file + ":1 30s", "timing.grace INTERLOCK_GRACE 4s", "lock.url --lock file:///x/y", "dry_run --dry-run true", "timing.hold_max default (60s, or hold if larger)"} {
		if !strings.Contains(strings.Join(strings.Fields(stdout), " "), want) {
			t.Errorf("%q is not in %s", want, stdout)
		}
	}
	if code != 0 || strings.Contains(stdout, `"/a"`) || !strings.HasPrefix(stderr, "interlock: warning: ignored variables") {
		t.Errorf("code %d, stdout %s, stderr %s", code, stdout, stderr)
	}
	code, stdout, stderr = try(env, "check-config", "--hold", "5", "--tries", "x", "--")
	if code != exit.Config || stdout != "" || strings.Count(stderr, "\n") != 5 {
		t.Errorf("code %d, stdout %q, stderr %s", code, stdout, stderr)
	}
}

func TestCheckConfigJSON(t *testing.T) {
	code, stdout, stderr := try(nil, "check-config", "--json", "--hold", "5s", "--data", "x")
	var doc struct {
		Errors config.Problems
		Values []config.Value
	}
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil || code != exit.Config || stderr != "" {
		t.Fatalf("code %d, %v in %q, stderr %q", code, err, stdout, stderr)
	}
	if len(doc.Errors) != 3 || doc.Errors[0].Where != "--data" || doc.Errors[1].Where != "timing (--hold)" || len(doc.Values) > 0 {
		t.Errorf("got %+v", doc)
	}
	if numbers := doc.Errors[1].What; !strings.Contains(numbers, "tries 3 x try-timeout 2s + grace 5s + kill-budget 1s + margin 250ms = 14.25s") {
		t.Errorf("timing: %s", numbers)
	}
}

// TestConfigFile: a file that cannot be read is one clear line and 78.
func TestConfigFile(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.yaml")
	write(t, big, strings.Repeat("#\n", maxConfigFile/2+1), 0o600)
	for _, args := range [][]string{
		{"--config", filepath.Join(dir, "none.yaml")}, {"--config", dir}, {"--config", big}, {"--config", ""},
		{"--config", big, "--config", big},
	} {
		code, _, stderr := try(nil, append([]string{"check-config"}, args...)...)
		if code != exit.Config || strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, "missing") {
			t.Errorf("%q: code %d, stderr %q", args, code, stderr)
		}
	}
}

// TestNumbersAgree: config imports nothing of ours, so what it repeats is compared here.
func TestNumbersAgree(t *testing.T) {
	if got, want := lockTiming(config.Defaults().Timing), lock.DefaultTiming(); got != want {
		t.Errorf("timing %+v, want %+v", got, want)
	}
	if config.MaxTokenEpoch != fence.MaxEpoch {
		t.Errorf("epoch %d, want %d", config.MaxTokenEpoch, fence.MaxEpoch)
	}
	if errs := checkTiming(config.Defaults().Timing); len(errs) > 0 {
		t.Errorf("defaults: %v", errs)
	}
	long := config.Defaults().Timing
	long.Hold = 90 * time.Second
	if got := lockTiming(long); got.HoldMax != 90*time.Second || got.HoldMaxSet {
		t.Errorf("hold max %v, set %v", got.HoldMax, got.HoldMaxSet)
	}
	if long.HoldMax = 60 * time.Second; len(checkTiming(long)) != 1 {
		t.Errorf("hold above hold_max: %v", checkTiming(long))
	}
}

func TestSecretFile(t *testing.T) {
	dir := t.TempDir()
	cases := []struct {
		text, want string
		mode       os.FileMode
		warn, bad  bool
	}{
		{"s3cret\n", "s3cret", 0o600, false, false},
		{"s3cret", "s3cret", 0o640, false, false},
		{" s p \r\n", " s p ", 0o644, true, false},
		{"\n", "", 0o600, false, true},
		{"", "", 0o600, false, true},
		{"s3cret\n\n", "", 0o600, false, true},
		{"s3cret\nmore\n", "", 0o600, false, true},
		{strings.Repeat("x", maxSecretFile+1), "", 0o600, false, true},
	}
	for i, c := range cases {
		name := filepath.Join(dir, string(rune('a'+i)))
		write(t, name, c.text, c.mode)
		got, warning, err := readSecretFile(name)
		if got != c.want || (warning != "") != c.warn || (err != nil) != c.bad {
			t.Errorf("%.20q: %q, warning %q, %v", c.text, got, warning, err)
		}
		if err != nil && c.text != "" && c.text != "\n" && strings.Contains(err.Error(), strings.TrimSpace(c.text)) {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
	if _, _, err := readSecretFile(dir); err == nil {
		t.Error("a directory was read")
	}
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

// TestExecuteKeepsNothing: two runs in one process do not see each other's flags.
func TestExecuteKeepsNothing(t *testing.T) {
	_, first, _ := try(nil, "check-config", "--lock", "file:///x/y")
	_, _, _ = try(nil, "check-config", "--lock", "file:///x/z", "--mount", "/a", "--hold", "40s")
	if _, again, _ := try(nil, "check-config", "--lock", "file:///x/y"); !reflect.DeepEqual(first, again) {
		t.Errorf("%s\n%s", first, again)
	}
}
