package drain

import (
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

func testMain(m *testing.M) { testkit.MainWithMounts(m) }
