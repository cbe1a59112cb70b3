package mounts

import (
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/ordeal"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A run on MooseFS through each of its faults.
func TestFaultsOfMooseFS(t *testing.T) {
	t.Parallel()
	f := testkit.StartMooseFS(t)
	identify(t, f.Dir)
	for _, c := range []struct {
		begin, heal func(testing.TB)
		row
	}{
		{f.Master.Pause, f.Master.Resume, row{"the master is stopped", "hung", true, false, ""}},
		{f.Master.Kill, f.Master.Start, row{"the master is killed and started again", "hung", false, false, ""}},
		{f.Chunks.Pause, f.Chunks.Resume, row{"the chunkserver is stopped", "hung", false, false, ""}},
		{f.Chunks.Kill, f.Chunks.Start, row{"the chunkserver is killed and started again", "hung", false, false, ""}},
		{f.Cut, f.Heal, row{"the network is cut", "hung", false, false, ""}},
		{f.Master.Pause, f.Master.Resume, row{"the master is stopped, `policy=hung:alert`", "hung", false, true, ",policy=hung:alert"}},
		{func(t testing.TB) { f.Client.Kill(t) }, nil, row{"mfsmount is killed", "disconnected", true, false, ""}},
	} {
		if !c.wanted() {
			continue
		}
		x := ordeal.Case{Filesystem: "MooseFS 3", Mount: f.Dir, Expect: ",fstype=moosefs,volume=v1", Free: func() { f.Free(); f.Client.Kill(t) },
			Arrived: latest(f.Chunkdir), Break: func() { c.begin(t) }}
		if c.heal != nil {
			x.Heal = func() { c.heal(t) }
		}
		if f.Client.Pid() == 0 { // mfsmount does not end with its mount
			f.Client.Start(t)
		}
		fresh(t, x)
		c.play(t, x)
	}
}

// A chunkserver without space lets its clients try again for ever.
func TestFullMooseFS(t *testing.T) {
	t.Parallel()
	if !testkit.Long() {
		return
	}
	d := newDisk(t, "ext4", 4096, "", "-E", "lazy_itable_init=1")
	f := testkit.MooseFSOn(t, d.dir)
	row{fault: "the chunkserver's disk is full", findings: "hung"}.play(t, ordeal.Case{
		Filesystem: "MooseFS 3", Mount: f.Dir, Expect: ",fstype=moosefs", Free: func() { f.Free(); f.Client.Kill(t) },
		Break: d.fill, Heal: d.spare, Arrived: latest(f.Chunkdir)})
}
