package citizen

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// composeFile is what an example may use of the Compose specification.
type composeFile struct {
	Services map[string]composeService `yaml:"services"`
}

type composeService struct {
	Image       string         `yaml:"image"`
	Entrypoint  []string       `yaml:"entrypoint"`
	Command     []string       `yaml:"command"`
	WorkingDir  string         `yaml:"working_dir"`
	Volumes     []string       `yaml:"volumes"`
	Init        *bool          `yaml:"init"`
	Restart     string         `yaml:"restart"`
	StopGrace   time.Duration  `yaml:"stop_grace_period"`
	Healthcheck composeHealthy `yaml:"healthcheck"`
}

type composeHealthy struct {
	Test        []string      `yaml:"test"`
	Interval    time.Duration `yaml:"interval"`
	Timeout     time.Duration `yaml:"timeout"`
	Retries     int           `yaml:"retries"`
	StartPeriod time.Duration `yaml:"start_period"`
}

// judgeCompose is everything that is wrong with a Compose file.
func judgeCompose(t testing.TB, text string) []string {
	t.Helper()
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	var f composeFile
	if err := dec.Decode(&f); err != nil {
		return []string{err.Error()}
	}
	if len(f.Services) != 1 {
		return []string{"expected one service"}
	}
	var bad []string
	for name, s := range f.Services {
		for _, b := range s.judge(t) {
			bad = append(bad, name+": "+b)
		}
	}
	return bad
}

func (s composeService) judge(t testing.TB) []string {
	t.Helper()
	doc, bad := checkCommand(t, nil, slices.Concat(s.Entrypoint, s.Command))
	if len(bad) > 0 {
		return bad
	}
	listen := fmt.Sprint(doc.value("health.listen"))
	bad = rules(
		s.Image != "", "image",
		s.StopGrace.Seconds() >= doc.Needs.Stop, fmt.Sprintf("stop_grace_period %v: a stop may take %vs", s.StopGrace, doc.Needs.Stop),
		s.StopGrace.Seconds() == doc.seconds("orchestrator.grace"), "stop_grace_period is not --orchestrator-grace",
		s.Healthcheck.StartPeriod.Seconds() >= doc.Needs.Start, fmt.Sprintf("start_period %v: a start may take %vs", s.Healthcheck.StartPeriod, doc.Needs.Start),
		s.Healthcheck.StartPeriod.Seconds() == doc.seconds("orchestrator.start_budget"), "start_period is not --start-budget",
		slices.Equal(s.Healthcheck.Test, []string{"CMD", s.Entrypoint[0], "ready", "--listen", listen}), "healthcheck: expected `interlock ready` at --listen",
		s.Healthcheck.Timeout < s.Healthcheck.Interval && s.Healthcheck.Timeout > 5*time.Second && s.Healthcheck.Retries > 0, "healthcheck: `interlock ready` waits up to 5s",
		s.Init != nil && !*s.Init, "init: interlock is to be PID 1",
		s.Restart == "unless-stopped", "restart: after the daemon's restart, too",
	)
	for _, m := range doc.mounts() {
		held := slices.ContainsFunc(s.Volumes, func(v string) bool { p := strings.Split(v, ":"); return len(p) == 2 && p[1] == m })
		bad = append(bad, rules(held, "volumes: no writable volume at "+m)...)
	}
	return bad
}

func TestBrokenCompose(t *testing.T) {
	t.Parallel()
	good := exampleFile(t, "compose/redis.yaml")
	for _, c := range []struct{ old, new, want string }{
		{"image:", "imago:", "imago"},
		{"stop_grace_period: 60s", "stop_grace_period: 10s", "a stop may take"},
		{"stop_grace_period: 60s", "stop_grace_period: 90s", "--orchestrator-grace"},
		{"--stop-grace, 30s", "--stop-grace, 50s", "a stop may take"},
		{"--stop-grace, 30s", "--stop-grase, 30s", "not defined"},
		{"start_period: 160s", "start_period: 10s", "a start may take"},
		{"/srv/redis:/srv/redis", "/srv/redis:/data", "volumes"},
		{"/srv/redis:/srv/redis", "/srv/redis:/srv/redis:ro", "volumes"},
		{"init: false", "init: true", "PID 1"},
		{"restart: unless-stopped", "restart: on-failure", "restart"},
		{"ready, --listen, \"127.0.0.1:9909\"", "ready, --listen, \"127.0.0.1:9908\"", "ready"},
		{"timeout: 6s", "timeout: 2s", "up to 5s"},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		if bad := strings.Join(judgeCompose(t, text), "; "); text == good || !strings.Contains(bad, c.want) {
			t.Errorf("%q -> %q: found %q", c.old, c.new, bad)
		}
	}
}
