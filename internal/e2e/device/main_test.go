// Package device has the end-to-end tests of a run with a block device of its own: loop devices with ext4 and
// xfs, and an export that lets one client in at a time.
package device

import (
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainWithMounts(m) }
