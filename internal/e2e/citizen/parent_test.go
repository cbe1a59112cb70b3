package citizen

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A warning as /status, doctor --json and check-config --json show it.
type warning struct{ Level, Topic, What, Do string }

func topics(all []warning) []string {
	names := []string{}
	for _, w := range all {
		if w.Level == "warn" || w.Level == "" {
			names = append(names, w.Topic)
		}
	}
	return names
}

// warned is what a run's status page warns of.
func warned(t *testing.T, j *scene.Job) []warning {
	t.Helper()
	j.Serving(t)
	_, body, err := j.Get("/status")
	var st struct{ Warnings []warning }
	if err != nil || json.Unmarshal([]byte(body), &st) != nil {
		t.Fatalf("%v: %s", err, body)
	}
	for _, w := range st.Warnings {
		if w.What == "" || w.Do == "" {
			t.Errorf("%+v: expected what is wrong and what to do", w)
		}
	}
	return st.Warnings
}

// doctored is what doctor finds, started by this argv in front and with these variables.
func doctored(t *testing.T, front func(argv ...string) []string, env []string, flags ...string) []warning {
	t.Helper()
	argv := append([]string{testkit.Binary(t), "doctor", "--json"}, flags...)
	if front != nil {
		argv = front(argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	p := testkit.StartCmd(t, cmd)
	p.Wait(t, limit)
	var all []warning
	if err := json.Unmarshal([]byte(p.Stdout(t)), &all); err != nil {
		t.Fatalf("%v: %s%s", err, p.Stdout(t), p.Stderr(t))
	}
	return all
}

// script makes the command stand in a file of this shell, as images have one for an entrypoint.
func script(t testing.TB, shell, line string) scene.Option {
	path, err := exec.LookPath(shell)
	if err != nil {
		testkit.Skip(t, shell, err.Error())
	}
	file := filepath.Join(t.TempDir(), "entrypoint")
	testkit.WriteProgram(t, file, "#!"+path+"\n"+line+"\n")
	return scene.Wrapped(func(_ testing.TB, argv ...string) []string { return append([]string{file}, argv...) })
}

// A shell between the executor and interlock is warned of, whatever it is called; without one, or outside of
// Mesos, nothing is.
func TestShellInFront(t *testing.T) {
	t.Parallel()
	none := scene.All()
	cases := []struct {
		name  string
		mesos bool
		front func(t testing.TB) scene.Option
		want  bool
	}{
		{"cmd", true, func(testing.TB) scene.Option { return form("cmd") }, true},
		{"script of sh", true, func(t testing.TB) scene.Option { return script(t, "sh", `"$@"; exit $?`) }, true},
		{"script of bash", true, func(t testing.TB) scene.Option { return script(t, "bash", `"$@"; exit $?`) }, true},
		{"cmd with exec", true, func(testing.TB) scene.Option { return form("cmd with exec") }, false},
		{"script with exec", true, func(t testing.TB) scene.Option { return script(t, "sh", `exec "$@"`) }, false},
		{"args", true, func(testing.TB) scene.Option { return none }, false},
		{"cmd outside Mesos", false, func(testing.TB) scene.Option { return form("cmd") }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := scene.New(t)
			s.Timing = nil
			options := []scene.Option{c.front(t)}
			if c.mesos {
				options = append(options, scene.Env("MESOS_TASK_ID=orders.1"))
			}
			j := s.Run(t, "a", options...)
			if got := slices.Contains(topics(warned(t, j)), "parent"); got != c.want {
				t.Errorf("warned of a parent: %v, expected %v", got, c.want)
			}
			scene.Kill(t, j.Guard(t), 15)
			j.Wait(t, limit)
		})
	}
}

func TestDoctorSeesTheShell(t *testing.T) {
	t.Parallel()
	mesos := []string{"MESOS_TASK_ID=orders.1"}
	shell := func(argv ...string) []string {
		return append([]string{"/bin/sh", "-c", `"$0" "$@"; exit $?`}, argv...)
	}
	exec := func(argv ...string) []string { return append([]string{"/bin/sh", "-c", `exec "$0" "$@"`}, argv...) }
	for name, c := range map[string]struct {
		front func(...string) []string
		env   []string
		want  bool
	}{
		"shell": {shell, mesos, true}, "exec": {exec, mesos, false}, "none": {nil, mesos, false}, "not Mesos": {shell, nil, false},
	} {
		if got := slices.Contains(topics(doctored(t, c.front, c.env)), "parent"); got != c.want {
			t.Errorf("%s: warned of a parent: %v, expected %v", name, got, c.want)
		}
	}
}
