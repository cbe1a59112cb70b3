package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// unitDirectives are those that the unit may use, each looked up in systemd.unit(5), systemd.service(5),
// systemd.exec(5), systemd.kill(5) or systemd.resource-control(5) of systemd 252.
func unitDirectives() map[string][]string {
	return map[string][]string{
		"Unit": {"Description", "Wants", "After", "StartLimitIntervalSec"},
		"Service": {"Type", "NotifyAccess", "ExecStart", "RuntimeDirectory", "TimeoutStartSec", "TimeoutStopSec", "KillMode", "SendSIGKILL",
			"Delegate", "OOMPolicy", "WatchdogSec", "Restart", "RestartSec", "RestartPreventExitStatus", "SuccessExitStatus"},
		"Install": {"WantedBy"},
	}
}

// parseUnit reads what systemd would: sections, comments, continued lines.
func parseUnit(text string) (map[string]string, error) {
	got, section := map[string]string{}, ""
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimSpace(line)
		name, value, assigned := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			section = strings.Trim(line, "[]")
		case !assigned || !slices.Contains(unitDirectives()[section], name):
			return nil, fmt.Errorf("section %q: unknown line %q", section, line)
		case got[name] != "":
			return nil, fmt.Errorf("%s is there twice", name)
		default:
			got[name] = value
		}
	}
	return got, nil
}

// words splits as systemd and sh both do, for what we use: single quotes alone.
func words(command string) ([]string, error) {
	if strings.ContainsAny(command, "$%\\`") {
		return nil, errors.New("an expansion")
	}
	var out []string
	for i, part := range strings.Split(command, "'") {
		if i%2 == 1 {
			out = append(out, part)
			continue
		}
		out = append(out, strings.Fields(part)...)
	}
	return out, nil
}

// checked is what check-config says of `interlock run …` as an example writes it: the values, or an error.
func checked(command string) (map[string]any, error) {
	argv, err := words(command)
	if err != nil {
		return nil, err
	}
	if len(argv) < 2 || filepath.Base(argv[0]) != "interlock" || argv[1] != "run" || !slices.Contains(argv, "--") {
		return nil, fmt.Errorf("%q: expected interlock run … -- COMMAND", argv)
	}
	code, stdout, stderr := try(nil, append([]string{"check-config", "--json"}, argv[2:]...)...)
	var doc struct {
		Values []struct {
			Key   string
			Value any
		}
	}
	if code != 0 {
		return nil, fmt.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil {
		return nil, err
	}
	values := map[string]any{}
	for _, v := range doc.Values {
		values[v.Key] = v.Value
	}
	return values, nil
}

func readExample(t *testing.T, name ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{"..", "..", "examples"}, name...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// span reads a duration of a unit or of check-config.
func span(t *testing.T, v any) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(strings.TrimSuffix(fmt.Sprint(v), "in"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sum adds up values of the configuration.
func sum(t *testing.T, values map[string]any, keys ...string) (d time.Duration) {
	t.Helper()
	for _, k := range keys {
		d += span(t, values[k])
	}
	return d
}

// TestUnit: flags that are known, directives that systemd knows, and budgets that fit.
func TestUnit(t *testing.T) {
	text := readExample(t, "systemd", "interlock-mysql.service")
	unit, err := parseUnit(text)
	if err != nil {
		t.Fatal(err)
	}
	values, err := checked(unit["ExecStart"])
	if err != nil {
		t.Fatal(err)
	}
	tries, err := strconv.Atoi(fmt.Sprint(values["timing.tries"]))
	if err != nil {
		t.Fatal(err)
	}
	const largestHold = 60 * time.Second // of hold_max, when it is not set by hand; the key's expiry, then what the record demands
	start := 2*largestHold + time.Duration(tries)*sum(t, values, "timing.try_timeout") +
		sum(t, values, "timing.settle", "budgets.mount", "budgets.mount", "budgets.claim", "restore.timeout")
	if got := span(t, unit["TimeoutStartSec"]); got <= start {
		t.Errorf("TimeoutStartSec=%v: expected more than %v", got, start)
	}
	stop := sum(t, values, "stop.grace", "timing.grace", "timing.kill_budget", "budgets.drain") + time.Duration(tries)*sum(t, values, "timing.try_timeout")
	if got := span(t, unit["TimeoutStopSec"]); got <= stop {
		t.Errorf("TimeoutStopSec=%v: expected more than %v", got, stop)
	}
	for _, told := range [][2]string{{"TimeoutStartSec", "orchestrator.start_budget"}, {"TimeoutStopSec", "orchestrator.grace"}} {
		if got := span(t, unit[told[0]]); got != span(t, values[told[1]]) {
			t.Errorf("%s=%v, %s is %v: expected interlock to know", told[0], got, told[1], values[told[1]])
		}
	}
	hung := sum(t, values, "timing.hold") + 2*sum(t, values, "timing.grace", "timing.kill_budget") + 5*time.Second
	if got := span(t, unit["WatchdogSec"]); got <= hung*3/2 {
		t.Errorf("WatchdogSec=%v: expected more than 1.5 times %v", got, hung)
	}
	for name, want := range map[string]string{
		"Type": "notify", "NotifyAccess": "all", "KillMode": "mixed", "SendSIGKILL": "yes", "Delegate": "yes",
		"Restart": "on-failure", "RestartPreventExitStatus": "64 78",
	} {
		if unit[name] != want {
			t.Errorf("%s=%s: expected %s", name, unit[name], want)
		}
	}
	verifyUnit(t, text)
}

// verifyUnit asks systemd itself, where it is there. It looks whether the command can be executed.
func verifyUnit(t *testing.T, text string) {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("systemd-analyze is not here: the list of directives alone was checked")
		return
	}
	path := filepath.Join(t.TempDir(), "interlock-mysql.service")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "/usr/local/bin/interlock", self)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, "verify", "--man=no", path).CombinedOutput(); err != nil || strings.Contains(string(out), "interlock-mysql") {
		t.Errorf("systemd-analyze verify: %v: %s", err, out)
	}
}

// TestCrontab: five fields of time, and a command that cron hands on whole.
func TestCrontab(t *testing.T) {
	jobs := 0
	for line := range strings.Lines(readExample(t, "cron", "interlock.crontab")) {
		if line[0] == '#' || strings.TrimSpace(line) == "" {
			continue
		}
		jobs++
		fields := strings.Fields(line)
		for _, f := range fields[:5] {
			if strings.Trim(f, "0123456789*/,-") != "" {
				t.Errorf("%q is no field of time", f)
			}
		}
		command, _, logged := strings.Cut(strings.Join(fields[5:], " "), " >>")
		values, err := checked(command)
		if err != nil {
			t.Fatal(err)
		}
		if values["lock.wait"] != "0" || !logged {
			t.Errorf("lock.wait %v, logged %v: expected 0 and a log", values["lock.wait"], logged)
		}
	}
	if jobs != 1 {
		t.Errorf("%d jobs: expected one", jobs)
	}
}

// TestExamplesAreChecked breaks what the tests above look for.
func TestExamplesAreChecked(t *testing.T) {
	for _, bad := range []string{"[Service]\nTypo=notify", "Type=notify", "[Unit]\nType=notify", "[Service]\nType", "[Service]\nType=a\nType=b"} {
		if got, err := parseUnit(bad); err == nil {
			t.Errorf("%q was taken: %q", bad, got)
		}
	}
	for _, bad := range []string{
		"/usr/local/bin/interlock run --frobnicate -- x", "interlock run --lock etcd://a/b --stop-grace 5 -- x",
		"interlock run --lock etcd://a/b", "interlock run -- x", "interlock runs --lock etcd://a/b -- x", "interlock run --lock $LOCK -- x", "",
	} {
		if _, err := checked(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if _, err := checked(`interlock run --lock etcd://a/b --data /a --restore-exec '["a b"]' -- x`); err != nil {
		t.Error(err)
	}
}
