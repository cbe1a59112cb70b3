// Package mounts has the tests of what `mount watch` says of real network filesystems in trouble, on the
// built binary.
package mounts

import (
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainWithMounts(m) }
