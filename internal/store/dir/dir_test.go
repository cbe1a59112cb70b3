package dir

import (
	"testing"

	"github.com/interlock-run/interlock/internal/store"
	"github.com/interlock-run/interlock/internal/store/storetest"
	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainWithMounts(m) }

func TestSuite(t *testing.T) {
	storetest.Run(t, storetest.Harness{Fresh: func(t *testing.T) func() store.Store {
		path := t.TempDir()
		return func() store.Store { return open(t, path) }
	}})
}

func open(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}
