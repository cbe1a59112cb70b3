package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/config"
)

// TestMesosGrace: Mesos' own durations, taken in a Mesos task alone, under flag and variable of ours, and
// said where they cannot be understood.
func TestMesosGrace(t *testing.T) {
	const task, grace = "MESOS_TASK_ID=t", "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD="
	cases := []struct {
		env    []string
		want   time.Duration
		source string
	}{
		{[]string{task, grace + "5secs"}, 5 * time.Second, grace[:len(grace)-1]},
		{[]string{task, grace + "1mins"}, time.Minute, grace[:len(grace)-1]},
		{[]string{task, grace + "1.5mins"}, 90 * time.Second, grace[:len(grace)-1]},
		{[]string{task, grace + "500ms"}, 500 * time.Millisecond, grace[:len(grace)-1]},
		{[]string{task, grace + "1days"}, 24 * time.Hour, grace[:len(grace)-1]},
		{[]string{task, grace + "5secs", "INTERLOCK_ORCHESTRATOR_GRACE=9s"}, 9 * time.Second, "INTERLOCK_ORCHESTRATOR_GRACE"},
		{[]string{grace + "5secs"}, 0, "default"},
		{[]string{task}, 0, "default"},
	}
	for _, c := range cases {
		in := inputs()
		in.Env = c.env
		r, err := config.Resolve(in)
		if err != nil || r.Config.Orchestrator.Grace != c.want || source(r, "orchestrator.grace") != c.source || len(r.Warnings) > 0 {
			t.Errorf("%q: %v from %s, warnings %q, %v", c.env, r.Config.Orchestrator.Grace, source(r, "orchestrator.grace"), r.Warnings, err)
		}
	}
	for _, bad := range []string{"5", "5s", "secs", "-5secs", "5 secs", "5secs ", "1e3secs", "0x1secs", "1.2.3secs", "Infsecs", "99999999999999weeks", "5SECS", "é"} {
		in := inputs()
		in.Env = []string{task, grace + bad}
		r, err := config.Resolve(in)
		if err != nil || r.Config.Orchestrator.Grace != 0 || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], bad) {
			t.Errorf("%q: %v, warnings %q, %v: expected one warning that quotes it, and no guess", bad, r.Config.Orchestrator.Grace, r.Warnings, err)
		}
	}
}

func source(r config.Resolved, key string) string {
	for _, v := range r.Values {
		if v.Key == key {
			return v.Source
		}
	}
	return ""
}

// TestSandboxReason: the sandbox comes after what was named and after the termination log, and never among
// the data.
func TestSandboxReason(t *testing.T) {
	const sandbox = "MESOS_SANDBOX=/mnt/mesos/sandbox"
	cases := []struct {
		env   string
		flags []string
		log   bool
		want  string
	}{
		{sandbox, nil, false, "/mnt/mesos/sandbox/interlock.reason"},
		{sandbox, []string{"--data", "/mnt/mesos/sandbox/db"}, false, "/mnt/mesos/sandbox/interlock.reason"},
		{sandbox, nil, true, config.DefaultReasonFile},
		{sandbox, []string{"--reason-file", "/r"}, false, "/r"},
		{sandbox, []string{"--reason-file", ""}, false, ""},
		{sandbox, []string{"--data", "/mnt/mesos/sandbox"}, false, ""},
		{sandbox, []string{"--data", "/mnt"}, false, ""},
		{"MESOS_SANDBOX=relative", nil, false, ""},
		{"MESOS_SANDBOX=/", nil, false, ""},
		{"MESOS_SANDBOX=", nil, false, ""},
	}
	for _, c := range cases {
		in := inputs(c.flags...)
		in.Env, in.TerminationLogExists = []string{c.env}, c.log
		got, _, err := config.Load(in)
		if err != nil || got.Health.ReasonFile != c.want {
			t.Errorf("%s %q: %q, %v: expected %q", c.env, c.flags, got.Health.ReasonFile, err, c.want)
		}
	}
}
