package mounts

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/ordeal"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A run on GlusterFS through each of its faults.
func TestFaultsOfGluster(t *testing.T) {
	t.Parallel()
	f := testkit.StartGluster(t)
	identify(t, f.Dir)
	away, fill := f.Store+"-away", filepath.Join(filepath.Dir(f.Store), "fill")
	full := func(t testing.TB) { must(t, os.WriteFile(fill, make([]byte, 28<<20), 0o600)) }
	empty := func(t testing.TB) { must(t, os.Remove(fill)) }
	for _, c := range []struct {
		begin, heal func(testing.TB)
		row
	}{
		{f.Brick.Kill, f.Brick.Start, row{"the brick's server is killed", "disconnected", true, false, ""}},
		{f.Brick.Pause, f.Brick.Resume, row{"the brick's server is stopped", "hung|disconnected", false, false, ""}},
		{f.Cut, f.Heal, row{"the network is cut", "hung|disconnected", true, false, ""}},
		{full, empty, row{"the brick's disk is full, `min_free=8MiB`", "full", false, true, ",min_free=8MiB"}},
		{full, empty, row{"the brick's disk is full, `min_free=8MiB,policy=full:kill`", "full", false, false, ",min_free=8MiB,policy=full:kill"}},
		{func(t testing.TB) { must(t, os.Rename(f.Store, away)) }, func(t testing.TB) { must(t, os.Rename(away, f.Store)) },
			row{"the brick's directory is away", "stale", false, false, ""}},
		{f.Brick.Kill, f.Brick.Start, row{"the brick's server is killed and started again, `policy=disconnected:alert`", "disconnected", false, true, ",policy=disconnected:alert"}},
		{f.Client.Kill, nil, row{"glusterfs (the mount's process) is killed", "disconnected", true, false, ""}},
	} {
		if !c.wanted() {
			continue
		}
		x := ordeal.Case{Filesystem: "GlusterFS 10, ping-timeout 2 s", Mount: f.Dir, Expect: ",fstype=glusterfs,volume=v1", Free: f.Free,
			Arrived: arrived(filepath.Join(f.Store, "data", "file")), Break: func() { c.begin(t) }}
		if c.heal != nil {
			x.Heal = func() { c.heal(t) }
		}
		if !mounted(f.Dir) {
			f.Client.Kill(t)
			f.Client.Start(t)
		}
		fresh(t, x)
		c.play(t, x)
	}
}
