package container

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// The container of a careful operator: a uid that no passwd knows, a read-only root without /tmp, no HOME or
// any other variable, no capability, no new privileges, a limit of processes.
func TestUnprivileged(t *testing.T) {
	s := calm(t)
	environ := filepath.Join(s.Dir, "environ")
	j, b := run(t, s, "a", plan{prefix: []string{"/payload", "bare"}, payload: []string{"-code", "7", "-environ", environ, "-tree", "3"},
		changes: []change{memory(256 << 20)}})
	if st := j.Serving(t); st.KillMode != "pid1" {
		t.Errorf("kill mode is %s: expected pid1", st.KillMode)
	}
	began(t, s)
	before := files(t, b.rootfs)
	tree := testkit.Snapshot(t, j.Guard(t))
	stopping := testkit.Monotonic()
	b.kill(t, b.id, "TERM")
	j.Expect(t, 10*time.Second, 7)
	if took := testkit.Monotonic() - stopping; took > 5*time.Second+testkit.Busy(t) {
		t.Errorf("the stop took %v: expected far less than the grace", took)
	}
	if n := s.Count(t, "signal-15"); n != 1 {
		t.Errorf("the payload got TERM %d times: expected once", n)
	}
	if left := tree.Alive(); len(left) > 0 {
		t.Errorf("%v outlived the container's first process", left)
	}
	if text, err := os.ReadFile(environ); err != nil || strings.Contains("\n"+string(text), "\nHOME=") {
		t.Errorf("the payload's environment: %q, %v: expected no HOME", text, err)
	}
	if after := files(t, b.rootfs); !slices.Equal(before, after) {
		t.Errorf("the root changed from %q to %q", before, after)
	}
}

// A root that could be written to stays as it was too, and beside the data lies only what was asked for.
func TestNothingWrittenElsewhere(t *testing.T) {
	s := calm(t)
	j, b := run(t, s, "a", plan{changes: []change{root, writable}})
	before := files(t, b.rootfs)
	j.Serving(t)
	began(t, s)
	for _, kept := range []string{"/dev/shm", "/dev/mqueue", "/dev"} {
		for _, line := range files(t, filepath.Join("/proc", itoa(j.Guard(t)), "root", kept)) {
			if strings.Contains(line, "interlock") {
				t.Errorf("written to %s: %s", kept, line)
			}
		}
	}
	b.kill(t, b.id, "TERM")
	j.Expect(t, 10*time.Second, 0)
	if after := files(t, b.rootfs); !slices.Equal(before, after) {
		t.Errorf("the root changed from %q to %q", before, after)
	}
	for _, line := range files(t, s.Dir) {
		name, _, _ := strings.Cut(line, " ")
		if !slices.Contains([]string{"", "/data", "/trace", "/lock", "/a.reason", "/.interlock", "/.interlock/claim.json"}, name) {
			t.Errorf("%s was written and not asked for", name)
		}
	}
}

// A command that ignores TERM is killed after the grace, and so is all that it started.
func TestStopGrace(t *testing.T) {
	s := calm(t)
	j, b := run(t, s, "a", plan{flags: []string{"--stop-grace", "1s"}, payload: []string{"-ignore-term", "-tree", "3"}})
	j.Serving(t)
	testkit.Wait(t, 20*time.Second, func() (bool, string) { return s.Count(t, "begin") == 4, "the tree is not complete" })
	tree := testkit.Snapshot(t, j.Guard(t))
	stopping := testkit.Monotonic()
	b.kill(t, b.id, "TERM")
	j.Expect(t, 20*time.Second, 137)
	if took := testkit.Monotonic() - stopping; took < time.Second || took > 8*time.Second+testkit.Busy(t) {
		t.Errorf("the stop took %v: expected the grace of 1s and the kill", took)
	}
	if left := tree.Alive(); len(left) > 0 {
		t.Errorf("%v outlived the container's first process", left)
	}
}
