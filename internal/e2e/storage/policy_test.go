package storage

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// waitFinding waits until the run says this of the mount.
func waitFinding(t testing.TB, j *scene.Job, point, finding, policy string) {
	t.Helper()
	testkit.Wait(t, limit, func() (bool, string) {
		st, err := j.Status()
		for _, m := range st.Mounts {
			if m.Path == point && m.Finding == finding && m.Policy == policy {
				return true, ""
			}
		}
		return false, point + " is not " + finding + ": " + errText(err)
	})
}

// A finding whose policy is alert is told, and the run goes on; what is a warning by default ends it where
// the policy says so.
func TestPolicyOfAMount(t *testing.T) {
	t.Parallel()
	fill := func(t testing.TB, point string) { write(t, filepath.Join(point, "fill"), strings.Repeat("x", 3<<20)) }
	for _, c := range []struct {
		name, flags, finding string
		end                  int // 0: the run goes on
	}{
		{"full is an alert", ",min_free=2MiB", "full", 0},
		{"full kills", ",min_free=2MiB,policy=full:kill,fail_after=100ms", "full", 74},
		{"slow is an alert", ",latency=1ns", "slow", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, point := mounted(t)
			a := s.Run(t, "a", s.Payload(t), scene.Flags("--mount", point+c.flags, "--probe-period", "50ms"))
			a.Serving(t)
			if c.finding == "full" {
				fill(t, point)
			}
			if c.end != 0 {
				wantReason(t, a.Expect(t, limit, c.end), point)
				return
			}
			waitFinding(t, a, point, c.finding, "alert")
			<-timeAfterProbes()
			a.Serving(t)
			_, page, err := a.Get("/metrics")
			if err != nil || !strings.Contains(page, `interlock_mount_probe_duration_seconds{path="`+point+`"}`) {
				t.Errorf("no duration of the probe: %v", err)
			}
			a.Stop(t)
		})
	}
}

// A read-only remount that the policy takes for an alert ends nothing, and is over with its cause.
func TestPolicyOfTheTable(t *testing.T) {
	t.Parallel()
	s, point := mounted(t)
	other := filepath.Join(s.Dir, "other")
	tmpfs(t, other)
	a := s.Run(t, "a", s.Payload(t), scene.Flags("--mount", point, "--mount", other+",policy=readonly:alert"))
	a.Serving(t)
	remount(t, other, true)
	waitFinding(t, a, other, "readonly", "alert")
	remount(t, other, false)
	waitFinding(t, a, other, "ok", "")
	detach(t, other)
	wantReason(t, a.Expect(t, limit, 74), other)
}

// The verbs say with their exit code what a run would do.
func TestMountVerbs(t *testing.T) {
	t.Parallel()
	s, point := mounted(t)
	none := filepath.Join(s.Dir, "none")
	if err := os.Mkdir(none, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		verb, mount, finding string
		code                 int
	}{
		{"check", point, "ok", 0},
		{"check", none, "absent", 72},
		{"check", point + ",min_free=1TiB", "full", 0},
		{"check", point + ",min_free=1TiB,policy=full:kill", "full", 72},
		{"check", point + ",fstype=ext4,policy=wrong:ignore", "ok", 0},
		{"watch", none, "absent", 74},
		{"watch", point + ",fstype=ext4", "wrong", 74},
	} {
		args := []string{"mount", c.verb, "--json", "--mount", c.mount}
		if c.verb == "watch" {
			args = append(args, "--until-bad")
		}
		code, out, errs := scene.Interlock(t, args...)
		var got []struct{ Path, Finding string }
		if c.verb == "watch" {
			out = "[" + out + "]"
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil || len(got) != 1 || got[0].Finding != c.finding || code != c.code {
			t.Errorf("%v: exit code %d, %v, %v, expected %s and %d: %s", args, code, got, err, c.finding, c.code, errs)
		}
	}
	for _, args := range [][]string{{"watch"}, {"check"}, {"check", "--json"}, {"check", "--mount", point, point}, {"watch", point}, {"init"}, {"init", "relative"}} {
		if code, _, _ := scene.Interlock(t, append([]string{"mount"}, args...)...); code != 64 {
			t.Errorf("mount %v: exit code %d, expected 64", args, code)
		}
	}
	_, out, _ := scene.Interlock(t, "mount", "check", "--mount", point+",min_free=1TiB")
	if f := strings.Fields(out); !strings.HasPrefix(out, "MOUNT ") || len(f) < 9 || f[5] != point || f[6] != "full" || f[7] != "alert" {
		t.Errorf("a table for people: %q", out)
	}
}
