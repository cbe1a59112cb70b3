// Package soak has the test of what a server that hangs for a long time costs: memory, threads, descriptors and
// processes of the built binary stay flat, whatever else the machine does. `make soak` is an hour of it.
package soak

import (
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainWithMounts(m) }
