package config_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/config"
)

// TestWarmChecks: what one key of warm cannot show, each with what is wrong and with what is right.
func TestWarmChecks(t *testing.T) {
	cache := []string{"--warm-memcached", "h:11211", "--store", "file:///srv/s"}
	with := func(more ...string) []string { return append(append([]string{}, cache...), more...) }
	for _, c := range []struct {
		args []string
		want string
	}{
		{cache, ""},
		{[]string{"--warm-memcached", "h:11211"}, "store.url is missing"},
		{[]string{"--warm-memcached", "h:11211", "--warm-from", "none"}, ""},
		{[]string{"--warm-exec", `["/bin/true"]`}, ""},
		{[]string{"--warm-exec", `["/bin/true"]`, "--warm-schedule", "5m"}, "warm.memcached is missing"},
		{[]string{"--warm-memcached", "h"}, "HOST:PORT"},
		{[]string{"--warm-memcached", "unix:/x"}, "HOST:PORT"},
		{with("--warm-user", "u"), "warm.password_file is missing"},
		{with("--warm-tls-name", "x"), "warm.tls.ca is missing"},
		{with("--data", "/srv/d", "--restore-from", "store"), "either dumps of a cache or snapshots of data"},
		{with("--warm-also", `["b=h:11212"]`), ""},
		{with("--warm-also", `["b"]`), "NAME=HOST:PORT"},
		{with("--warm-also", `["b=h:1","c=h:1"]`), "once"},
		{with("--warm-also", `["b=h:11211"]`), "itself"},
		{[]string{"--warm-also", `["b=h:1"]`}, "warm.memcached is missing"},
		{with("--warm-ring-kind", "x", "--warm-ring-nodes", `["a","b"]`, "--warm-also", `["c=h:1"]`), "one of warm.ring.nodes"},
		{with("--warm-ring-kind", "x", "--warm-ring-nodes", `["a=0.5","b=0"]`), "above 0"},
		{with("--warm-ring-kind", "x", "--warm-ring-nodes", `["a=0.5","b"]`), ""},
		{with("--warm-ready", "1.5"), "fraction"},
		{with("--warm-ready", "0"), "fraction"},
		{with("--warm-budget-bytes", "8GB"), "8GiB"},
		{with("--warm-budget-bytes", "9999999TiB"), "8GiB"},
		{with("--warm-ring-kind", "x"), "fewer than two nodes"},
		{with("--warm-ring-nodes", `["a","b"]`), "warm.ring.kind is missing"},
		{with("--warm-ring-kind", "x", "--warm-ring-nodes", `["a","b"]`, "--warm-ring-self", "c"), "one of warm.ring.nodes"},
		{with("--warm-ring-kind", "x", "--warm-ring-nodes", `["a","b=2"]`, "--warm-ring-self", "b"), ""},
	} {
		_, _, err := config.Load(inputs(c.args...))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.args, err, c.want)
		}
		if problems, is := errors.AsType[config.Problems](err); is && len(problems) > 1 {
			t.Errorf("%q: %d problems for one mistake: %v", c.args, len(problems), err)
		}
	}
}

// TestEarlyReadinessWarns: letting clients in during the load is told at each start.
func TestEarlyReadinessWarns(t *testing.T) {
	for ready, want := range map[string]int{"when_warm": 0, "0.8": 1, "at_once": 1} {
		c, warnings, err := config.Load(inputs("--warm-memcached", "/run/m", "--store", "file:///s", "--warm-ready", ready, "--warm-budget-bytes", "3MiB"))
		if err != nil || len(warnings) != want || c.Warm.Budget.Limit() != 3<<20 {
			t.Errorf("%s: %q, %v, %d", ready, warnings, err, c.Warm.Budget.Limit())
		}
	}
}

// A dump that was cut by its budget of time still has the time to be published, and several caches have theirs each.
func TestTimeOfADump(t *testing.T) {
	w := config.Warm{Memcached: "a:1", Budget: config.WarmBudget{Time: time.Hour}}
	if got := w.DumpTime(); got < 2*time.Hour {
		t.Errorf("%v", got)
	}
	w.Also = []string{"b=b:1", "c=c:1"}
	if got := w.DumpTime(); got < 6*time.Hour {
		t.Errorf("of three: %v", got)
	}
}

// A command that follows a load has a budget of its own, so a start may take both.
func TestStartWithLoadAndCommand(t *testing.T) {
	var c config.Config
	c.Warm = config.Warm{Memcached: "a:1", From: "latest", Ready: config.WhenWarm, Budget: config.WarmBudget{Time: time.Hour}}
	load := c.StartNeed().Total
	c.Warm.Exec = []string{"true"}
	if both := c.StartNeed().Total; both < load+time.Hour {
		t.Errorf("%v with a command, %v without", both, load)
	}
}
