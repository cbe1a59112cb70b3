package mounts

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// limit bounds what servers need to find each other again; it measures nothing.
const limit = 90 * time.Second

// line is one finding as --json shows it.
type line struct {
	Time                  time.Time
	Path, Finding, Detail string
	Policy                string
}

// watcher is a `mount watch` under way.
type watcher struct {
	*testkit.Process
	read int // lines that a test has looked at
}

// watching begins one; free is called at the end, when it may hang in what it watches.
func watching(t *testing.T, mount string, free func()) *watcher {
	t.Helper()
	w := &watcher{Process: testkit.StartCmd(t, exec.Command(testkit.Binary(t), "mount", "watch", "--json",
		"--mount", mount+",recover_after=0s", "--probe-period", "100ms", "--probe-timeout", "1s"))}
	t.Cleanup(free)
	return w
}

// says waits for one of these findings and gives the time since the fault; what comes before does not count.
func (w *watcher) says(t *testing.T, since time.Time, findings ...string) line {
	t.Helper()
	var got line
	testkit.Wait(t, limit, func() (bool, string) {
		all := strings.SplitAfter(w.Stdout(t), "\n")
		for ; w.read < len(all)-1; w.read++ {
			if err := json.Unmarshal([]byte(all[w.read]), &got); err != nil {
				t.Fatalf("%q: %v", all[w.read], err)
			}
			if slices.Contains(findings, got.Finding) {
				w.read++
				return true, ""
			}
		}
		return false, fmt.Sprintf("no %v; last %+v; %s", findings, got, w.Stderr(t))
	})
	t.Logf("%s after %v: %s", got.Finding, got.Time.Sub(since).Round(time.Millisecond), got.Detail)
	return got
}

// identify gives the mount an identity.
func identify(t *testing.T, dir string) {
	t.Helper()
	if code, _, errs := scene.Interlock(t, "mount", "init", "--volume", "v1", dir); code != 0 {
		t.Fatalf("mount init: exit code %d: %s", code, errs)
	}
}

// check fails unless `mount check` ends with this code.
func check(t *testing.T, mount string, code int) {
	t.Helper()
	if got, out, errs := scene.Interlock(t, "mount", "check", "--mount", mount); got != code {
		t.Errorf("mount check %s: exit code %d, expected %d: %s%s", mount, got, code, out, errs)
	}
}
