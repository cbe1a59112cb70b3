package config_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/config"
)

// TestPrecedence sets one field in all places and takes the places away one by one.
func TestPrecedence(t *testing.T) {
	in := inputs("--hold", "33s")
	in.Env = []string{"INTERLOCK_HOLD=32s"}
	in.File = []byte("timing: {hold: 31s}\n")
	for _, want := range []struct {
		hold   time.Duration
		source string
	}{{33 * time.Second, "--hold"}, {32 * time.Second, "INTERLOCK_HOLD"}, {31 * time.Second, "test.yaml:1"}, {20 * time.Second, "default"}} {
		r, err := config.Resolve(in)
		if err != nil {
			t.Fatal(err)
		}
		if r.Config.Timing.Hold != want.hold || sourceOf(r, "timing.hold") != want.source {
			t.Errorf("hold %v from %s, want %v from %s", r.Config.Timing.Hold, sourceOf(r, "timing.hold"), want.hold, want.source)
		}
		switch {
		case len(in.Flags) > 0:
			in.Flags = nil
		case len(in.Env) > 0:
			in.Env = nil
		default:
			in.File = nil
		}
	}
}

func sourceOf(r config.Resolved, key string) string {
	for _, v := range r.Values {
		if v.Key == key {
			return v.Source
		}
	}
	return ""
}

// TestEveryFieldEveryPlace gives every field a value by flag and by variable, as the sample has it.
func TestEveryFieldEveryPlace(t *testing.T) {
	warm := func(key string) bool { return strings.HasPrefix(key, "warm.") }
	const nbd = "device.attach.nbd" // instead of the commands
	everyField(t, func(key string) bool { return !warm(key) && key != nbd })
	everyField(t, func(key string) bool {
		return key == nbd || key == "device.attach.dev" || key == "device.mount.path" || key == "restore.exec" || key == "data"
	})
	// What a run with data does with its store, one with a cache does not.
	everyField(t, func(key string) bool {
		return warm(key) || key == "store.url" || key == "data" || key == "restore.exec"
	})
}

func everyField(t *testing.T, wanted func(key string) bool) {
	values := map[string]string{
		"JSON-ARRAY": `["/bin/x","a b","","--"]`, "DURATION": "7s", "NUMBER": "3", "true|false": "true", "MOUNT": "/srv/x,volume=v1",
	}
	special := map[string]string{
		"lock": "zk://a,b:2181/x/y", "lock-wait": "5m", "stop-signal": "QUIT", "user": "mysql:mysql",
		"data": "/srv/x/data", "state-dir": "/srv/x/state", "reason-file": "/run/reason", "listen": "unix:/run/il.sock",
		"store": "s3://bucket/prefix", "store-endpoint": "https://s3:9000", "restore-at": "2026-01-31T12:00:00Z",
		"backup-mode": config.ModeCommand, "backup-freeze": "[]", "backup-exclude": `["*.pid"]`,
		"reboot-after":      "8s",
		"device-attach-nbd": "nbd-1:10809/orders", "device-attach-dev": "/dev/nbd0", "device-uuid": "6d1c2f0e-5f6f-4c8e-9a53-0c9d1a7f2b10",
		"device-mount-path": "/srv/blocks", "device-mount-opts": `["noatime"]`, "device-state-dir": "/run/il",
		"warm-also": `["a:11211=127.0.0.1:11212"]`, "warm-order": config.ColdestFirst, "warm-memcached": "cache1:11211", "warm-from": config.FromNone, "warm-budget-bytes": "8GiB", "warm-ready": "0.8",
		"fence-agent": "/usr/sbin/fence_x", "fence-options-file": "/etc/fence", "fence-watchdog": "/dev/watchdog",
		"warm-ring-kind": config.RingAuto, "warm-ring-nodes": `["a:11211","b:11211=3"]`, "warm-ring-self": "b:11211", "warm-ring-stores": `["file:///srv/a"]`,
	}
	var byFlag config.Inputs = inputs()
	byEnv := inputs()
	for _, f := range config.Fields() {
		if !wanted(f.Key) {
			continue
		}
		value := values[f.Kind()]
		if len(f.Values) > 0 {
			value = f.Values[len(f.Values)-1]
		}
		if s, is := special[f.Flag]; is {
			value = s
		}
		if value == "" {
			value = "some-text"
		}
		byFlag.Flags[f.Flag] = []string{value}
		byEnv.Env = append(byEnv.Env, f.Variable()+"="+value)
	}
	a, err := config.Resolve(byFlag)
	if err != nil {
		t.Fatal(err)
	}
	b, err := config.Resolve(byEnv)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a.Config, b.Config) {
		t.Errorf("flags and variables differ:\n%+v\n%+v", a.Config, b.Config)
	}
	unset, _ := config.Resolve(inputs())
	for i, v := range a.Values {
		if !wanted(v.Key) {
			continue
		}
		if !strings.HasPrefix(v.Source, "--") || !strings.HasPrefix(b.Values[i].Source, "INTERLOCK_") {
			t.Errorf("%s comes from %s and %s", v.Key, v.Source, b.Values[i].Source)
		}
		if v.Text() == unset.Values[i].Text() && v.Key != "timing.tries" && v.Key != "backup.freeze" { // which no command goes with
			t.Errorf("%s did not change from %s", v.Key, v.Text())
		}
	}
	if want := []string{"/bin/x", "a b", "", "--"}; !reflect.DeepEqual(a.Config.Restore.Exec, want) {
		t.Errorf("restore.exec %q, want %q", a.Config.Restore.Exec, want)
	}
}

// TestListsReplace: a later source replaces all mounts of an earlier one.
func TestListsReplace(t *testing.T) {
	in := inputs("--mount", "/srv/c,fstype=nfs4", "--mount", "/srv/d")
	in.Env = []string{"INTERLOCK_MOUNT=/srv/e;/srv/f,opts=a+!b\n/srv/g\n"}
	in.File = []byte("mounts: [{path: /srv/a, opts: [hard, \"!soft\"], fail_after: 9s}]\n")
	wantMounts(t, in, config.Mount{Path: "/srv/c", FSType: "nfs4", FailAfter: config.DefaultFailAfter, RecoverAfter: config.DefaultRecoverAfter},
		config.Mount{Path: "/srv/d", FailAfter: config.DefaultFailAfter, RecoverAfter: config.DefaultRecoverAfter})
	in.Flags = nil
	wantMounts(t, in, config.Mount{Path: "/srv/e", FailAfter: config.DefaultFailAfter, RecoverAfter: config.DefaultRecoverAfter},
		config.Mount{Path: "/srv/f", Opts: []string{"a", "!b"}, FailAfter: config.DefaultFailAfter, RecoverAfter: config.DefaultRecoverAfter},
		config.Mount{Path: "/srv/g", FailAfter: config.DefaultFailAfter, RecoverAfter: config.DefaultRecoverAfter})
	in.Env = nil
	wantMounts(t, in, config.Mount{Path: "/srv/a", Opts: []string{"hard", "!soft"}, FailAfter: 9 * time.Second, RecoverAfter: config.DefaultRecoverAfter})
}

func wantMounts(t *testing.T, in config.Inputs, want ...config.Mount) {
	t.Helper()
	c, _, err := config.Load(in)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c.Mounts, want) {
		t.Errorf("got  %+v\nwant %+v", c.Mounts, want)
	}
}

// TestAllAtOnce: mistakes of all kinds in all places come in one answer, each with its place.
func TestAllAtOnce(t *testing.T) {
	in := inputs("--grace", "20", "--log-level", "loud", "--stop-signal", "STOP", "--user", "a b", "--tries", "1")
	in.Env = []string{"INTERLOCK_HEARTBEAT=20 sec", "INTERLOCK_RESTORE_EXEC=/bin/x"}
	in.File = []byte(`lock:
  url: http://x/y
  url: zk://a/b
timing:
  hold: 20
  holdd: 20s
mounts:
  - path: srv
    volume: "a b"
budgets: {mount: 0s}
nonsense: 1
`)
	in.Require = []string{"lock.url", "command"}
	expectProblems(t, in,
		`test.yaml:2 lock.url: found "http://x/y": expected zk://`,
		`test.yaml:3 url: this key stands in line 2 already`,
		`test.yaml:5 timing.hold: found "20": expected a duration with its unit`,
		`test.yaml:6 timing: unknown key "holdd": did you mean hold?`,
		`test.yaml:8 mounts[0].path: found "srv": expected an absolute path`,
		`test.yaml:9 mounts[0].volume: found "a b": expected a volume id`,
		`test.yaml:10 budgets.mount: found "0s": expected more than 0`,
		`test.yaml:11: unknown key "nonsense": expected one of lock, timing, `,
		`INTERLOCK_HEARTBEAT: found "20 sec": expected a duration with its unit`,
		`INTERLOCK_RESTORE_EXEC: found "/bin/x": expected a JSON array`,
		`--tries: found "1": expected 2 to 100`,
		`--grace: found "20": expected a duration with its unit`,
		`--stop-signal: found "STOP": expected none, or the name of a signal`,
		`--user: found "a b": expected UID[:GID]`,
		`--log-level: found "loud": expected one of debug, info, warn, error`,
		`command: missing: expected -- and then the command`)
}

func TestRequired(t *testing.T) {
	in := inputs()
	in.Require = []string{"lock.url", "command"}
	in.Command = []string{""}
	expectProblems(t, in, "--lock, INTERLOCK_LOCK or lock.url: missing: expected the lock", `command: found ""`)
	in.Require = nil
	expectProblems(t, in)
}

// TestTiming: the caller's arithmetic is asked with sound numbers only, and told where they stand.
func TestTiming(t *testing.T) {
	in := inputs("--grace", "9s")
	in.File = []byte("timing:\n  hold: 10s\n")
	var asked []config.Timing
	in.CheckTiming = func(t config.Timing) []error {
		asked = append(asked, t)
		return []error{fmt.Errorf("hold %v is too short", t.Hold)}
	}
	expectProblems(t, in, "timing (test.yaml:2 timing.hold, --grace): hold 10s is too short")
	in.Flags["tries"] = []string{"x"}
	expectProblems(t, in, "--tries")
	in.File = []byte("timing: {tries: y}\n")
	in.Flags["tries"] = []string{"4"}
	expectProblems(t, in, "test.yaml:1 timing.tries", "timing (--tries, --grace): hold 20s")
	expectProblems(t, config.Inputs{Hostname: "h", CheckTiming: in.CheckTiming}, "timing (defaults): hold 20s")
	if len(asked) != 3 {
		t.Errorf("asked %d times, want 3", len(asked))
	}
}

// TestMachineDefaults: holder, node and reason file follow the environment.
func TestMachineDefaults(t *testing.T) {
	cases := []struct {
		env          []string
		log          bool
		holder, node string
		reason       string
	}{
		{nil, false, "host:42", "host", ""},
		{[]string{"POD_NAME=orders-0", "NODE_NAME=rack1"}, true, "orders-0", "rack1", config.DefaultReasonFile},
		{[]string{"POD_NAME=orders-0", "POD_UID=u-1", "MESOS_TASK_ID=t"}, true, "orders-0/u-1", "host", config.DefaultReasonFile},
		{[]string{"MESOS_TASK_ID=t.1", "POD_UID=u"}, false, "t.1", "host", ""},
		{[]string{"INTERLOCK_HOLDER=me", "INTERLOCK_FENCE_NODE=n", "INTERLOCK_REASON_FILE=/r", "POD_NAME=x"}, false, "me", "n", "/r"},
	}
	for _, c := range cases {
		in := inputs()
		in.Env, in.TerminationLogExists = c.env, c.log
		got, _, err := config.Load(in)
		if err != nil {
			t.Fatal(err)
		}
		if got.Holder != c.holder || got.Fence.Node != c.node || got.Health.ReasonFile != c.reason {
			t.Errorf("%q: holder %q, node %q, reason %q", c.env, got.Holder, got.Fence.Node, got.Health.ReasonFile)
		}
	}
	expectProblems(t, config.Inputs{}, "--holder, INTERLOCK_HOLDER or holder: missing", "--fence-node")
	expectProblems(t, config.Inputs{Hostname: "h", Env: []string{"NODE_NAME=unknown"}}, "fence.node: \"unknown\" stands for")
	expectProblems(t, config.Inputs{Hostname: "h", Env: []string{"POD_NAME=a b"}}, `--holder, INTERLOCK_HOLDER or holder: found "a b"`)
}

// TestInsidePayload: what the outer interlock says about itself is not our configuration.
func TestInsidePayload(t *testing.T) {
	in := inputs()
	in.Env = []string{"INTERLOCK_TOKEN=7", "INTERLOCK_LOCK=zk://outer/x", "INTERLOCK_HOLDER=outer", "INTERLOCK_PAYLOAD_PID=9"}
	c, warnings, err := config.Load(in)
	if err != nil || c.Lock.URL != "" || c.Holder != "host:42" {
		t.Errorf("lock %q, holder %q, error %v", c.Lock.URL, c.Holder, err)
	}
	if len(warnings) != 1 || !strings.HasPrefix(warnings[0], "INTERLOCK_LOCK, INTERLOCK_HOLDER: set by the interlock that runs this one") {
		t.Errorf("warnings %q", warnings)
	}
	in.Env = in.Env[1:]
	if c, warnings, _ = config.Load(in); c.Lock.URL != "zk://outer/x" || c.Holder != "outer" || len(warnings) > 0 {
		t.Errorf("without a token: lock %q, holder %q, warnings %q", c.Lock.URL, c.Holder, warnings)
	}
}

// TestUnknownVariables: one warning for all of them, never an error; an empty variable is not set.
func TestUnknownVariables(t *testing.T) {
	in := inputs()
	in.Env = []string{"INTERLOCK_PORT=tcp://10.0.0.1:80", "INTERLOCK_SERVICE_HOST=10.0.0.1", "INTERLOCK_HOLDD=3s", "OTHER=1",
		"INTERLOCK_HOLD=", "INTERLOCK_CONFIG=/x", "INTERLOCK_LOG_LEVEL=warn"}
	c, warnings, err := config.Load(in)
	if err != nil || c.Timing.Hold != 20*time.Second || c.Log.Level != "warn" {
		t.Errorf("%+v, %v", c, err)
	}
	want := "ignored variables that are no setting: INTERLOCK_HOLDD (did you mean INTERLOCK_HOLD?), INTERLOCK_PORT, INTERLOCK_SERVICE_HOST ("
	if len(warnings) != 1 || !strings.HasPrefix(warnings[0], want) {
		t.Errorf("warnings %q, want %q", warnings, want)
	}
	for i := range 1000 {
		in.Env = append(in.Env, fmt.Sprintf("INTERLOCK_X%d_PORT=1", i))
	}
	if _, warnings, _ = config.Load(in); len(warnings) != 1 || len(warnings[0]) > 2000 {
		t.Errorf("%d warnings, the first of %d bytes", len(warnings), len(warnings[0]))
	}
}

// TestRefusedIsNotKept: what was refused does not reach who handles the error.
func TestRefusedIsNotKept(t *testing.T) {
	in := inputs("--reason-file", "relative", "--log-level", "loud", "--mount", "/a", "--mount", "b", "--hold", "-1s")
	in.File = []byte("restore: {exec: [a, [b]]}\n")
	got, _, err := config.Load(in)
	want := config.Defaults()
	want.Health.ReasonFile, want.Holder, want.Fence.Node = "", "host:42", "host"
	if err == nil || !reflect.DeepEqual(got, want) {
		t.Errorf("error %v\ngot  %+v\nwant %+v", err, got, want)
	}
}

// TestOursAmongTheData: a file of ours in the data directory would make an empty one look used.
func TestOursAmongTheData(t *testing.T) {
	expectProblems(t, inputs("--lock", "file:///srv/db/lock", "--data", "/srv/db", "--listen", "unix:/srv/db/s", "--reason-file", "/srv/db/.x/r"),
		`--lock: "/srv/db/lock" lies inside the data directory`,
		`--listen: "/srv/db/s" lies inside`,
		`--reason-file: "/srv/db/.x/r" lies inside`)
	expectProblems(t, inputs("--lock", "file:///srv/dblock", "--data", "/srv/db", "--listen", "unix:/srv/s", "--reason-file", "/srv/reason"))
}

// An empty flag is refused where it would say nothing, whatever the file says; it switches off what has a default.
func TestEmptyFlags(t *testing.T) {
	in := inputs("--user", "")
	in.File = []byte("user: \"999\"\n")
	expectProblems(t, in, `--user: found ""`)
	for _, flag := range []string{"data", "store", "state-dir", "fence-agent", "fence-watchdog", "device-uuid"} {
		expectProblems(t, inputs("--"+flag, ""), "--"+flag+`: found ""`)
	}
	c, _, err := config.Load(inputs("--reason-file", ""))
	if err != nil || c.Health.ReasonFile != "" {
		t.Errorf("%q, %v: expected no reason file", c.Health.ReasonFile, err)
	}
}
