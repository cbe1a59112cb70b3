package citizen

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

// judge is everything that is wrong with an app.
func judge(t testing.TB, text string) []string {
	t.Helper()
	a, err := decodeApp(text)
	if err != nil {
		return []string{err.Error()}
	}
	argv, bad := a.command()
	if len(bad) > 0 {
		return bad
	}
	env := []string{"MESOS_TASK_ID=orders.1"}
	for name, value := range a.Env {
		env = append(env, name+"="+value)
	}
	doc, bad := checkCommand(t, env, argv)
	if len(bad) > 0 {
		return bad
	}
	return slices.Concat(a.single(), a.budgets(doc), a.ports(doc), a.storage(doc))
}

// rules are statements with what they say when they do not hold.
func rules(pairs ...any) []string {
	var bad []string
	for i := 0; i < len(pairs); i += 2 {
		if !pairs[i].(bool) {
			bad = append(bad, fmt.Sprint(pairs[i+1]))
		}
	}
	return bad
}

// command is the argv that the executor runs, and what is wrong with how it is given.
func (a app) command() ([]string, []string) {
	if (a.Cmd == "") == (len(a.Args) == 0) {
		return nil, []string{"expected either cmd or args"}
	}
	if len(a.Args) > 0 {
		return a.Args, rules(a.Container == nil, "args with an image are arguments of its entrypoint: expected cmd")
	}
	rest, is := strings.CutPrefix(a.Cmd, "exec ")
	if !is {
		return nil, []string{"cmd without exec leaves a shell in front"}
	}
	argv, err := words(rest)
	if err != nil {
		return nil, []string{err.Error()}
	}
	return argv, nil
}

// single: one instance, the old one stopped before the new one starts, and a replacement soon after a
// partition, because the lock decides.
func (a app) single() []string {
	up, un := a.UpgradeStrategy, a.UnreachableStrategy
	return rules(
		regexp.MustCompile(`^(/[a-z0-9]([-.a-z0-9]*[a-z0-9])?)+$`).MatchString(a.ID), "id "+a.ID,
		a.Instances != nil && *a.Instances == 1, "instances: expected 1",
		a.Labels["MARATHON_SINGLE_INSTANCE_APP"] == "true", "label MARATHON_SINGLE_INSTANCE_APP: expected true",
		up != nil && up.Healthy != nil && *up.Healthy == 0 && up.Over != nil && *up.Over == 0, "upgradeStrategy: expected 0 and 0",
		un != nil && un.Inactive != nil && *un.Inactive == 0, "unreachableStrategy: expected an inactiveAfterSeconds of 0",
		un != nil && un.Expunge != nil && *un.Expunge == 0, "unreachableStrategy: expected an expungeAfterSeconds of 0 (Marathon takes 0 for both or for neither)",
		a.MaxLaunchDelay != nil && *a.MaxLaunchDelay <= 300, "maxLaunchDelaySeconds: a start that failed must not wait an hour",
		a.BackoffFactor >= 1 && a.CPUs >= 0.001 && a.Mem >= 64 && a.Disk >= 0, "backoffFactor, cpus, mem or disk",
		!slices.ContainsFunc(a.Constraints, func(c []string) bool {
			return len(c) < 2 || len(c) > 3 || !slices.Contains([]string{"UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "UNLIKE", "MAX_PER", "IS"}, c[1])
		}), "constraints",
	)
}

// budgets: what Marathon gives is what interlock was told, and enough.
func (a app) budgets(doc checkup) []string {
	bad := rules(
		doc.value("holder") == "orders.1", "holder: expected the task's id",
		doc.seconds("orchestrator.grace") == float64(a.TaskKillGrace), "taskKillGracePeriodSeconds is not --orchestrator-grace",
		float64(a.TaskKillGrace) >= doc.Needs.Stop, fmt.Sprintf("taskKillGracePeriodSeconds %d: a stop may take %vs", a.TaskKillGrace, doc.Needs.Stop),
		len(a.HealthChecks) == 1, "healthChecks: expected one",
		len(a.ReadinessChecks) == 1, "readinessChecks: expected one",
	)
	for _, h := range a.HealthChecks {
		bad = append(bad, rules(
			h.Path == "/livez", "healthChecks: path "+h.Path+": expected /livez, which does not depend on the lock",
			h.Protocol == "HTTP" || h.Protocol == "MESOS_HTTP", "healthChecks: protocol "+h.Protocol,
			float64(h.Grace) >= doc.Needs.Start, fmt.Sprintf("gracePeriodSeconds %d: a start may take %vs", h.Grace, doc.Needs.Start),
			float64(h.Grace) == doc.seconds("orchestrator.start_budget"), "gracePeriodSeconds is not --start-budget",
			h.Interval > 0 && h.Timeout > 0 && h.Timeout < h.Interval && h.MaxFailures > 0, "healthChecks: interval, timeout or failures",
		)...)
	}
	for _, r := range a.ReadinessChecks {
		bad = append(bad, rules(
			r.Path == "/readyz" && r.Protocol == "HTTP" && slices.Equal(r.Codes, []int{200}), "readinessChecks: expected 200 of /readyz by HTTP",
			r.Timeout > 0 && r.Timeout < r.Interval, "readinessChecks: timeout",
		)...)
	}
	return bad
}

// ports: the checks ask where interlock listens.
func (a app) ports(doc checkup) []string {
	host, listen, err := net.SplitHostPort(fmt.Sprint(doc.value("health.listen")))
	bad := rules(
		err == nil && host != "127.0.0.1" && host != "localhost", "--listen must be reachable from the agent and from Marathon",
		a.RequirePorts, "requirePorts: the ports are fixed",
		len(a.PortDefinitions) > 0, "portDefinitions",
		!slices.ContainsFunc(a.Networks, func(n network) bool { return n.Mode != "host" }), "networks: the ports are the host's",
	)
	for _, h := range a.HealthChecks {
		index := -1
		if h.PortIndex != nil {
			index = *h.PortIndex
		}
		p, there := a.port(index, "")
		bad = append(bad, rules(there && fmt.Sprint(p.Port) == listen, "healthChecks: portIndex is not the port of --listen")...)
	}
	for _, r := range a.ReadinessChecks {
		p, there := a.port(-1, r.PortName)
		bad = append(bad, rules(there && fmt.Sprint(p.Port) == listen, "readinessChecks: portName is not the port of --listen")...)
	}
	return bad
}

// storage: what must be a mount is one, in the container too.
func (a app) storage(doc checkup) []string {
	mounts, data := doc.mounts(), fmt.Sprint(doc.value("data"))
	bad := rules(len(mounts) > 0 && strings.HasPrefix(data, mounts[0]+"/"), "--mount: expected the mount that holds --data")
	if a.Container == nil {
		return bad
	}
	for _, m := range mounts {
		held := false
		for _, v := range a.Container.Volumes {
			held = held || v.ContainerPath == m && v.Mode == "RW" && v.HostPath != ""
		}
		bad = append(bad, rules(held, "volumes: no writable volume at "+m)...)
	}
	return append(bad, rules(a.Container.Type == "MESOS" && a.Container.Docker.Image != "", "container: expected type MESOS and an image")...)
}

func marathonFiles(t testing.TB) []string {
	t.Helper()
	root, err := testkit.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "examples", "marathon", "*.json"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%q, %v: expected the apps", files, err)
	}
	for i := range files {
		files[i] = filepath.Join("marathon", filepath.Base(files[i]))
	}
	return files
}

func TestMarathonApps(t *testing.T) {
	t.Parallel()
	for _, name := range marathonFiles(t) {
		for _, bad := range judge(t, exampleFile(t, name)) {
			t.Errorf("%s: %s", name, bad)
		}
	}
}

// Each of these is one mistake, and must be seen.
func TestBrokenMarathonApps(t *testing.T) {
	t.Parallel()
	args, cmd := exampleFile(t, "marathon/mysql-nfs.json"), exampleFile(t, "marathon/mysql-nfs-image.json")
	cases := []struct{ from, old, new, want string }{
		{args, `"instances"`, `"instanses"`, "instanses"},
		{args, `"instances"`, `"Instances"`, "Instances"},
		{args, `"path": "/livez"`, `"pfad": "/livez"`, "pfad"},
		{args, `"instances": 1`, `"instances": 2`, "instances"},
		{args, `"instances": 1`, `"instances": "1"`, "instances"},
		{args, `  "instances": 1,`, ``, "instances"},
		{args, `"/orders/mysql"`, `"/Orders/mysql"`, "id"},
		{args, `"--settle"`, `"--setle"`, "not defined"},
		{args, `"30s"`, `"30"`, "--settle"},
		{args, `"INTERLOCK_LOG_FORMAT": "json"`, `"INTERLOCK_LOG_FORMAT": "xml"`, "LOG_FORMAT"},
		{args, `"INTERLOCK_LOG_FORMAT"`, `"INTERLOCK_LOG_FORMTA"`, "LOG_FORMTA"},
		{args, `"INTERLOCK_LOG_FORMAT": "json"`, `"INTERLOCK_HOLDER": "mysql"`, "holder"},
		{args, `"run",`, ``, "interlock run"},
		{args, `"args": [`, `"cmd": "exec x", "args": [`, "cmd or args"},
		{args, `"user": "root"`, `"container": {"type": "MESOS"}`, "entrypoint"},
		{args, `"MARATHON_SINGLE_INSTANCE_APP": "true"`, `"MARATHON_SINGLE_INSTANCE_APP": "yes"`, "SINGLE"},
		{args, `"maximumOverCapacity": 0`, `"maximumOverCapacity": 1`, "upgradeStrategy"},
		{args, `, "maximumOverCapacity": 0`, ``, "upgradeStrategy"},
		{args, `"inactiveAfterSeconds": 0,`, `"inactiveAfterSeconds": 300,`, "inactiveAfterSeconds"},
		{args, `"inactiveAfterSeconds": 0,`, ``, "inactiveAfterSeconds"},
		{args, `"expungeAfterSeconds": 0`, `"expungeAfterSeconds": 60`, "expungeAfterSeconds"},
		{args, `"taskKillGracePeriodSeconds": 90`, `"taskKillGracePeriodSeconds": 60`, "--orchestrator-grace"},
		{args, `"--stop-grace", "60s"`, `"--stop-grace", "80s"`, "a stop may take"},
		{args, `"gracePeriodSeconds": 300`, `"gracePeriodSeconds": 60`, "a start may take"},
		{args, `"--settle", "30s"`, `"--settle", "90s"`, "a start may take"},
		{args, `"path": "/livez"`, `"path": "/readyz"`, "/livez"},
		{args, `"MESOS_HTTP"`, `"TCP"`, "protocol"},
		{args, `"portIndex": 1`, `"portIndex": 0`, "portIndex"},
		{args, `"portIndex": 1`, `"portIndex": 2`, "portIndex"},
		{args, `"timeoutSeconds": 5, "maxConsecutiveFailures"`, `"timeoutSeconds": 10, "maxConsecutiveFailures"`, "timeout"},
		{args, `"portName": "health"`, `"portName": "mysql"`, "portName"},
		{args, `"0.0.0.0:9909"`, `"127.0.0.1:9909"`, "--listen"},
		{args, `"requirePorts": true`, `"requirePorts": false`, "requirePorts"},
		{args, `"maxLaunchDelaySeconds": 60`, `"maxLaunchDelaySeconds": 3600`, "maxLaunchDelaySeconds"},
		{args, `"LIKE"`, `"ALIKE"`, "constraints"},
		{args, `"/srv/orders,fstype`, `"/srv/order,fstype`, "--mount"},
		{cmd, `"exec /interlock`, `"/interlock`, "without exec"},
		{cmd, `mysqld --datadir`, `mysqld $OPTIONS --datadir`, "shell"},
		{cmd, `"containerPath": "/srv/orders"`, `"containerPath": "/srv"`, "volumes"},
		{cmd, `"mode": "RW"`, `"mode": "RO"`, "volumes"},
		{cmd, `"type": "MESOS"`, `"type": "RKT"`, "container"},
		{cmd, `{ "mode": "host" }`, `{ "mode": "container/bridge" }`, "networks"},
	}
	for _, c := range cases {
		text := strings.Replace(c.from, c.old, c.new, 1)
		if text == c.from || !json.Valid([]byte(text)) {
			t.Errorf("%s -> %s breaks nothing, or too much", c.old, c.new)
			continue
		}
		if bad := strings.Join(judge(t, text), "; "); !strings.Contains(bad, c.want) {
			t.Errorf("%s -> %s: found %q, expected a word about %s", c.old, c.new, bad, c.want)
		}
	}
}
