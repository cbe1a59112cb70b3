package main

import (
	"slices"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/config"
)

// A fence agent gets what we were given, but for what is meant for us and for the store alone.
func TestFenceEnvironment(t *testing.T) {
	environ := []string{"PATH=/bin", "INTERLOCK_STORE_SECRET=1", "__INTERLOCK_ROLE=1", "STORE_SECRET=1", "NOTIFY_SOCKET=/x", "BMC_USER=u"}
	if got := fenceEnvironment(environ, []string{"STORE_SECRET"}); !slices.Equal(got, []string{"PATH=/bin", "BMC_USER=u"}) {
		t.Errorf("the agent gets %q", got)
	}
}

// Doctor speaks of the watchdog and of the agent, each by itself.
func TestDoctorOnFencing(t *testing.T) {
	for name, c := range map[string]struct {
		watchdog, agent string
		want            []string
	}{
		"neither":             {"", "", []string{"ok"}},
		"a watchdog":          {"/dev/null", "", []string{"ok", "ok"}},
		"no such watchdog":    {"/dev/no-such", "", []string{"fail", "ok"}},
		"no such agent":       {"", "/nowhere/agent", []string{"fail"}},
		"neither can be used": {"/dev/no-such", "/nowhere/agent", []string{"fail", "fail"}},
	} {
		t.Run(name, func(t *testing.T) {
			var cfg config.Config
			cfg.Timing = config.Timing{
				Hold: 20 * time.Second, Heartbeat: 2 * time.Second, TryTimeout: 2 * time.Second, Tries: 3, Margin: 250 * time.Millisecond,
			}
			cfg.Fence.Watchdog, cfg.Fence.Agent = c.watchdog, c.agent
			var got []string
			for _, line := range fencingNow(cfg, nil) {
				got = append(got, line.Level)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q: expected %q", got, c.want)
			}
		})
	}
}
