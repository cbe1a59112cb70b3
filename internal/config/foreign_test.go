package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/config"
)

// With foreign peers nothing waits for a grace, what cannot be promised is said, and a file lock has none.
func TestForeignPeers(t *testing.T) {
	in := inputs("--lock", "zk://h1/a", "--foreign-peers", "true", "--grace", "3s")
	cfg, warnings, err := config.Load(in)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Timing.Grace != 0 {
		t.Errorf("the grace is %v, expected none", cfg.Timing.Grace)
	}
	said := strings.Join(warnings, "\n")
	for _, part := range []string{"--foreign-peers: holders that are other programs", "docs/locks.md", "--grace: not used"} {
		if !strings.Contains(said, part) {
			t.Errorf("the warnings %q do not say %q", said, part)
		}
	}
	expectProblems(t, inputs("--lock", "file:///a/b", "--foreign-peers", "true"), "--foreign-peers … file://")
	if cfg, warnings, err = config.Load(inputs("--lock", "zk://h1/a", "--grace", "3s")); err != nil || len(warnings) > 0 || cfg.Timing.Grace != 3*time.Second {
		t.Errorf("without foreign peers: grace %v, warnings %q, %v", cfg.Timing.Grace, warnings, err)
	}
}
