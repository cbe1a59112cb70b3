package file

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/lock/locktest"
)

func TestSuite(t *testing.T) {
	locktest.Run(t, locktest.Harness{
		Fresh:  fresh,
		Traits: locktest.Traits{Unordered: true, SingleFile: true, NoExpiry: true, SawAtGrant: true},
	})
}

func fresh(t *testing.T) locktest.Lock {
	path := filepath.Join(t.TempDir(), "lock")
	return locktest.Lock{
		Open: func(ctx context.Context, s lock.Settings) (lock.Driver, error) {
			return Open(ctx, fileURL(path), s)
		},
		RemoveKey: func(t *testing.T, _ lock.Place) { must(t, os.Remove(path)) },
		Corrupt:   func(t *testing.T) { scribble(t, path) },
	}
}

// scribble changes one byte in each state of the file, and nothing else.
func scribble(t *testing.T, path string) {
	t.Helper()
	all, err := os.ReadFile(path)
	must(t, err)
	for i := range slots {
		all[headSize+i*slotSize+100] ^= 1
	}
	must(t, os.WriteFile(path, all, 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fileURL(path string) *url.URL { return &url.URL{Scheme: "file", Path: path} }
