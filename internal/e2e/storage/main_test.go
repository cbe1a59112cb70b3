// Package storage has the end-to-end tests of what a run does with its storage: data directory, claim,
// mounts, restore, hooks, dry run, drain.
package storage

import (
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainWithMounts(m) }

// needMounts skips where no test may mount.
func needMounts(t testing.TB) {
	t.Helper()
	testkit.RequireRoot(t)
}
