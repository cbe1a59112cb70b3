package container

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Which way of killing is in force where, each proven by a clean stop of a tree.
func TestModes(t *testing.T) {
	for _, c := range []struct {
		name  string
		modes []string
		plan  plan
	}{
		{"PID1", []string{"pid1"}, plan{}},
		{"PID1AsRoot", []string{"pid1"}, plan{changes: []change{root}}},
		{"NoSeccomp", []string{"pidns", "pid1"}, plan{changes: []change{unconfined}}}, // a host may forbid user namespaces
		{"HostPID", []string{"subreaper"}, plan{changes: []change{hostPID}}},
		{"InitInFront", []string{"subreaper"}, plan{prefix: []string{"/payload", "front"}}},
		{"Privileged", []string{"pidns"}, plan{changes: []change{privileged}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := calm(t)
			c.plan.payload = []string{"-code", "7", "-tree", "2"}
			j, b := run(t, s, "a", c.plan)
			if st := j.Serving(t); !slices.Contains(c.modes, st.KillMode) {
				t.Errorf("kill mode is %s: expected %s", st.KillMode, c.modes)
			}
			testkit.Wait(t, 20*time.Second, func() (bool, string) { return s.Count(t, "begin") == 3, "the tree is not complete" })
			tree := testkit.Snapshot(t, j.Guard(t))
			b.kill(t, b.id, "TERM")
			j.Expect(t, 10*time.Second, 7)
			if left := tree.Alive(); len(left) > 0 {
				t.Errorf("%v outlived the container's first process", left)
			}
		})
	}
}

// Two containers with one PID namespace, as a pod that shares it: the other one's processes are not ours,
// and not ours to kill.
func TestSharedPIDNamespace(t *testing.T) {
	s := calm(t)
	pause := newBox(t)
	p := pause.start(t, s.Dir, []string{"/payload", "front"})
	first := pause.running(t)
	j, b := run(t, s, "a", plan{flags: []string{"--stop-grace", "1s"}, payload: []string{"-ignore-term", "-tree", "2"},
		changes: []change{joined(fmt.Sprintf("/proc/%d/ns/pid", first))}})
	if st := j.Serving(t); st.KillMode != "subreaper" {
		t.Errorf("kill mode is %s: expected subreaper", st.KillMode)
	}
	testkit.Wait(t, 20*time.Second, func() (bool, string) { return s.Count(t, "begin") == 3, "the tree is not complete" })
	tree := testkit.Snapshot(t, j.Guard(t))
	b.kill(t, b.id, "TERM")
	j.Expect(t, 20*time.Second, 137)
	if left := tree.Alive(); len(left) > 0 {
		t.Errorf("%v outlived interlock", left)
	}
	select {
	case <-p.Exited():
		t.Error("the other container of the namespace was ended too")
	default:
	}
	pause.kill(t, pause.id, "TERM")
	if code := p.Wait(t, 10*time.Second); code != 0 {
		t.Errorf("the pause container ended with %d", code)
	}
}

// The agent is killed inside the container: the guard ends the payload and says why, and the next container
// takes over.
func TestKillAgent(t *testing.T) {
	t.Parallel()
	s := calm(t)
	s.Timing = scene.Quick()
	a, _ := run(t, s, "a", plan{payload: []string{"-ignore-term", "-tree", "2"}})
	a.Serving(t)
	began(t, s)
	agent, tree := a.Agent(t), testkit.Snapshot(t, a.Guard(t))
	scene.Kill(t, agent, syscall.SIGKILL)
	if why := a.Expect(t, 10*time.Second, 70); !strings.Contains(why, "agent") || strings.Contains(why, "memory") {
		t.Errorf("reason %q: expected the agent, and nothing of memory", why)
	}
	if left := tree.Alive(); len(left) > 0 {
		t.Errorf("%v outlived the container's first process", left)
	}
	successor(t, s)
}

// All of the container is killed at once, as for a memory limit with a group kill or by a daemon that has
// lost its patience.
func TestKillAll(t *testing.T) {
	t.Parallel()
	s := calm(t)
	s.Timing = scene.Quick()
	a, b := run(t, s, "a", plan{payload: []string{"-tree", "2"}})
	a.Serving(t)
	began(t, s)
	b.kill(t, "--all", b.id, "KILL")
	if code := a.Wait(t, 10*time.Second); code != 137 {
		t.Errorf("the container ended with %d: expected 137", code)
	}
	successor(t, s)
}

// successor runs a second container on the same directory and judges the trace of both.
func successor(t *testing.T, s *scene.Scene) {
	t.Helper()
	j, b := run(t, s, "b", plan{})
	token := j.Serving(t).Lock.Token
	testkit.Wait(t, 20*time.Second, func() (bool, string) {
		lines := s.Lines(t)
		return strconv.FormatUint(lines[len(lines)-1].Token, 10) == token, "the successor's payload has not begun"
	})
	b.kill(t, b.id, "TERM")
	j.Expect(t, 10*time.Second, 0)
	if order := s.Judge(t); len(order) != 2 {
		t.Errorf("tenures with tokens %v: expected two", order)
	}
}

// On a host with cgroup v1 a container sees a writable tmpfs at /sys/fs/cgroup, where a directory can be
// made that kills nobody.
func TestTmpfsIsNoCgroup(t *testing.T) {
	s := calm(t)
	j, b := run(t, s, "a", plan{prefix: []string{"/payload", "front"}, changes: []change{overriding, plainTmpfs}})
	if st := j.Serving(t); st.KillMode != "subreaper" {
		t.Errorf("kill mode is %s: expected subreaper", st.KillMode)
	}
	if out, err := b.runc("exec", b.id, "/payload", "-log", "/sys/fs/cgroup/proof", "-after", "1ms").CombinedOutput(); err != nil {
		t.Fatalf("the tmpfs cannot be written to from inside, so the test proves nothing: %v: %s", err, out)
	}
	names, err := os.ReadDir(filepath.Join("/proc", itoa(j.Guard(t)), "root/sys/fs/cgroup"))
	if err != nil || len(names) != 1 {
		t.Errorf("%v, %v in the tmpfs: expected only what the test put there", names, err)
	}
	began(t, s)
	b.kill(t, b.id, "TERM")
	j.Expect(t, 10*time.Second, 0)

	refused, _ := run(t, s, "b", plan{flags: []string{"--isolate", "cgroup"}, changes: []change{overriding, plainTmpfs}})
	if why := refused.Expect(t, 20*time.Second, 78); !strings.Contains(why, "cgroup") {
		t.Errorf("reason %q does not name the cgroup", why)
	}
}
