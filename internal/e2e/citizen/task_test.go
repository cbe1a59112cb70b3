package citizen

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// bare is a run without what a scene adds: everything that is not said comes from the environment.
func bare(t *testing.T, s *scene.Scene, env []string, more ...string) *testkit.Process {
	t.Helper()
	argv := append([]string{testkit.Binary(t), "run", "--lock", s.Lock, "--data", s.Data, "--log-format", "text"}, s.Timing...)
	argv = append(append(argv, more...), "--", scene.PayloadBinary(t), "-log", s.Trace)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	return testkit.StartCmd(t, cmd)
}

// holder is who holds the lock by its record, once somebody does.
func holder(t *testing.T, s *scene.Scene) string {
	t.Helper()
	testkit.Wait(t, limit, func() (bool, string) { return s.Count(t, "begin") > 0, "the payload has not begun" })
	var shown struct{ Record struct{ Holder string } }
	s.ShowLock(t, &shown)
	return shown.Record.Holder
}

// The task's id is the holder, unless somebody was more precise.
func TestTaskIsTheHolder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env   []string
		flags []string
		want  string
	}{
		"task":      {[]string{"MESOS_TASK_ID=orders.7f"}, nil, "orders.7f"},
		"pod first": {[]string{"MESOS_TASK_ID=orders.7f", "POD_NAME=orders-0", "POD_UID=u"}, nil, "orders-0/u"},
		"variable":  {[]string{"MESOS_TASK_ID=orders.7f", "INTERLOCK_HOLDER=me"}, nil, "me"},
		"flag":      {[]string{"MESOS_TASK_ID=orders.7f", "INTERLOCK_HOLDER=me"}, []string{"--holder", "you"}, "you"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := scene.New(t)
			s.Timing = nil
			p := bare(t, s, c.env, c.flags...)
			if got := holder(t, s); got != c.want {
				t.Errorf("holder %q: expected %q", got, c.want)
			}
			p.Signal(t, 15)
			p.Wait(t, limit)
		})
	}
}

// Where there is no termination log, why the run ended stands in the sandbox.
func TestReasonInTheSandbox(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/termination-log"); err == nil {
		testkit.Skip(t, "termination log", "/dev/termination-log is here, and goes first")
	}
	s := scene.New(t)
	sandbox := testkit.PublicDir(t)
	p := bare(t, s, []string{"MESOS_TASK_ID=t", "MESOS_SANDBOX=" + sandbox}, "--mount", s.Dir)
	if code := p.Wait(t, limit); code != 72 {
		t.Errorf("exit code %d: expected 72, because %s is no mount", code, s.Dir)
	}
	reason, err := os.ReadFile(filepath.Join(sandbox, "interlock.reason"))
	if err != nil || !strings.Contains(string(reason), s.Dir) {
		t.Errorf("%v: %q: expected a line about %s", err, reason, s.Dir)
	}
}

// lockedParent is a scene for an unprivileged task: nothing can be made beside the data.
func lockedParent(t *testing.T) (s *scene.Scene, sandbox string) {
	t.Helper()
	testkit.RequireRoot(t)
	s = scene.New(t)
	s.Data = filepath.Join(s.Dir, "disk", "db")
	if err := os.MkdirAll(s.Data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.Data, 0o777); err != nil {
		t.Fatal(err)
	}
	return s, testkit.PublicDir(t)
}

func claimIn(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, ".interlock", "claim.json"))
	return err == nil
}

// State goes to the sandbox where the place beside the data cannot be made. A claim there says nothing of
// tasks before: it is warned of, and an empty lock is no proof that nobody ran.
func TestStateInTheSandbox(t *testing.T) {
	t.Parallel()
	s, sandbox := lockedParent(t)
	asked := scene.Now()
	j := s.Run(t, "a", scene.Wrapped(testkit.Unprivileged), asTask("MESOS_SANDBOX="+sandbox))
	all := topics(warned(t, j))
	if waited := scene.Now() - asked; waited < scene.Hold {
		t.Errorf("it served after %v: expected the hold of %v, for there is no proof that nobody ran", waited, scene.Hold)
	}
	if !slices.Contains(all, "state") || !claimIn(sandbox) || claimIn(filepath.Dir(s.Data)) {
		t.Errorf("warnings %q, claim in the sandbox %v, beside the data %v", all, claimIn(sandbox), claimIn(filepath.Dir(s.Data)))
	}
	testkit.Wait(t, limit, func() (bool, string) { return s.Count(t, "begin") > 0, "the payload has not begun" })
	if code := j.Stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// The sandbox is for nothing that has a better place, and for no account that must outlive the task.
func TestStateNotInTheSandbox(t *testing.T) {
	t.Parallel()
	t.Run("beside the data", func(t *testing.T) {
		t.Parallel()
		s, sandbox := lockedParent(t)
		if err := os.Chmod(filepath.Dir(s.Data), 0o777); err != nil {
			t.Fatal(err)
		}
		j := s.Run(t, "a", scene.Wrapped(testkit.Unprivileged), asTask("MESOS_SANDBOX="+sandbox))
		if all := topics(warned(t, j)); slices.Contains(all, "state") || !claimIn(filepath.Dir(s.Data)) || claimIn(sandbox) {
			t.Errorf("warnings %q, claim in the sandbox %v", all, claimIn(sandbox))
		}
		j.Stop(t)
	})
	// A restore that was cut off would be forgotten with the task, and half of it be taken for data.
	t.Run("with a restore", func(t *testing.T) {
		t.Parallel()
		s, sandbox := lockedParent(t)
		j := s.Run(t, "a", scene.Wrapped(testkit.Unprivileged), asTask("MESOS_SANDBOX="+sandbox), scene.Flags("--restore-exec", `["/bin/true"]`))
		if why := j.Expect(t, limit, 72); !strings.Contains(why, filepath.Dir(s.Data)) || claimIn(sandbox) {
			t.Errorf("%q, claim in the sandbox %v: expected a refusal that names the place", why, claimIn(sandbox))
		}
	})
	// An agent's work directory behind a link: the sandbox is the data directory, by another name.
	t.Run("in the data", func(t *testing.T) {
		t.Parallel()
		s, other := lockedParent(t)
		sandbox := filepath.Join(other, "latest")
		if err := os.Symlink(s.Data, sandbox); err != nil {
			t.Fatal(err)
		}
		j := s.Run(t, "a", scene.Wrapped(testkit.Unprivileged), asTask("MESOS_SANDBOX="+sandbox))
		if why := j.Expect(t, limit, 72); !strings.Contains(why, filepath.Dir(s.Data)) || claimIn(s.Data) {
			t.Errorf("%q, claim in the data %v: expected a refusal that names the place", why, claimIn(s.Data))
		}
	})
	t.Run("on a named mount", func(t *testing.T) {
		t.Parallel()
		s, sandbox := lockedParent(t)
		where, err := exec.Command("stat", "-c", "%m", s.Data).Output()
		if err != nil {
			t.Fatal(err)
		}
		unprivileged := func(argv ...string) []string { return testkit.Unprivileged(t, argv...) }
		found := doctored(t, unprivileged, []string{"MESOS_SANDBOX=" + sandbox}, "--data", s.Data, "--mount", strings.TrimSpace(string(where)))
		for _, l := range found {
			if l.Topic == "state" || strings.Contains(l.What, sandbox) {
				t.Errorf("%+v: expected the state to stay on its mount", l)
			}
		}
	})
}

// Outside of a task there is no other place, and doctor says that this one is refused, as the run does.
func TestDoctorSeesARefusedStateDirectory(t *testing.T) {
	t.Parallel()
	s, _ := lockedParent(t)
	unprivileged := func(argv ...string) []string { return testkit.Unprivileged(t, argv...) }
	seen := func() bool {
		return slices.ContainsFunc(doctored(t, unprivileged, nil, "--data", s.Data), func(l warning) bool { return l.Level == "fail" && strings.Contains(l.What, ".interlock") })
	}
	if !seen() {
		t.Error("doctor sees nothing wrong with a state directory that cannot be made")
	}
	s.Run(t, "a", scene.Wrapped(testkit.Unprivileged)).Expect(t, limit, 72)
	dir := filepath.Join(filepath.Dir(s.Data), ".interlock")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if !seen() {
		t.Error("doctor sees nothing wrong with a state directory of somebody else")
	}
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if seen() {
		t.Error("doctor finds fault with a state directory of our own")
	}
}

// The same without a mount: doctor says where it would go.
func TestDoctorSeesTheSandbox(t *testing.T) {
	t.Parallel()
	s, sandbox := lockedParent(t)
	unprivileged := func(argv ...string) []string { return testkit.Unprivileged(t, argv...) }
	found := doctored(t, unprivileged, []string{"MESOS_SANDBOX=" + sandbox}, "--data", s.Data)
	if !slices.Contains(topics(found), "state") {
		t.Errorf("%+v: expected a warning about the state", found)
	}
}
