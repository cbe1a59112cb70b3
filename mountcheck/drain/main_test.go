package drain_test

import (
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest/late"
)

func TestMain(m *testing.M) {
	late.Play()
	testkit.MainWithMounts(m)
}
