package mounts

import (
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// Each fault of MooseFS is found, and over when the servers are back.
func TestMooseFS(t *testing.T) {
	t.Parallel()
	f := testkit.StartMooseFS(t)
	identify(t, f.Dir)
	mount := f.Dir + ",fstype=moosefs,volume=v1,fail_after=100ms"
	check(t, mount, 0)
	check(t, f.Dir+",fstype=moosefs,volume=v2", 72)
	check(t, f.Dir+",fstype=glusterfs", 72)
	check(t, f.Dir+",min_free=1PiB,policy=full:kill", 72)
	w := watching(t, mount, f.Free)
	w.says(t, time.Now(), "ok")
	for _, c := range []struct {
		name        string
		fault, heal func(testing.TB)
	}{
		{"the master is stopped", f.Master.Pause, f.Master.Resume},
		{"the master is killed", f.Master.Kill, f.Master.Start},
		{"the chunkserver is stopped", f.Chunks.Pause, f.Chunks.Resume},
		{"the chunkserver is killed", f.Chunks.Kill, f.Chunks.Start},
		{"the network is cut", f.Cut, f.Heal},
	} {
		began := time.Now()
		t.Log(c.name)
		c.fault(t)
		w.says(t, began, "hung", "erroring")
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
	f.Client.Start(t)
	w.says(t, began, "replaced")
	check(t, mount, 0)
}
