package mounts

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// Each fault of GlusterFS is found, and over when the server is back.
func TestGluster(t *testing.T) {
	t.Parallel()
	f := testkit.StartGluster(t)
	identify(t, f.Dir)
	mount := f.Dir + ",fstype=glusterfs,volume=v1,min_free=8MiB,fail_after=100ms"
	check(t, mount, 0)
	check(t, f.Dir+",fstype=moosefs", 72)
	w := watching(t, mount, f.Free)
	w.says(t, time.Now(), "ok")
	away := f.Store + "-away"
	fill := filepath.Join(filepath.Dir(f.Store), "fill")
	for _, c := range []struct {
		name        string
		fault, heal func(testing.TB)
		findings    []string
	}{
		{"the brick is killed", f.Brick.Kill, f.Brick.Start, []string{"disconnected"}},
		{"the brick is stopped", f.Brick.Pause, f.Brick.Resume, []string{"hung"}},
		{"the network is cut", f.Cut, f.Heal, []string{"hung"}},
		{"the brick's disk is full", func(t testing.TB) { must(t, os.WriteFile(fill, make([]byte, 28<<20), 0o600)) },
			func(t testing.TB) { must(t, os.Remove(fill)) }, []string{"full"}},
		{"the brick's directory is away", func(t testing.TB) { must(t, os.Rename(f.Store, away)) },
			func(t testing.TB) { must(t, os.Rename(away, f.Store)) }, []string{"stale"}},
	} {
		began := time.Now()
		t.Log(c.name)
		c.fault(t)
		w.says(t, began, c.findings...)
		began = time.Now()
		c.heal(t)
		w.says(t, began, "ok")
	}
	began := time.Now()
	f.Client.Kill(t)
	w.says(t, began, "disconnected")
	began = time.Now()
	f.Free()
	w.says(t, began, "absent")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
