// Package citizen has the end-to-end tests of the built binary under orchestrators: what Mesos' executor does
// to a task, what is warned of at a start, and that the examples say what their orchestrator and interlock
// understand.
//
// Promise: a kill is made process by process as Mesos' command executor makes it. Non-promise: no Mesos, no
// Marathon and no kubelet runs here.
package citizen

import (
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainWaiting(m, 8) }
