package mounts

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/ordeal"
	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A payload that is stuck in a FUSE filesystem is freed by breaking the connection. What it had written is
// with the daemon then, or on the way to the server, and arrives when the fault is over: the lock is not
// given back as drained before.
func TestStuckIsFreed(t *testing.T) {
	t.Parallel()
	t.Run("FUSE", func(t *testing.T) {
		t.Parallel()
		f, x := faulty(t, "")
		x.Break, x.Heal = func() { f.Set(t, "hang write,fsync") }, func() { f.Set(t, "ok") }
		freed(t, x, "never answers writes, `on_stuck: free`")
	})
	t.Run("GlusterFS", func(t *testing.T) {
		t.Parallel()
		f := testkit.PatientGluster(t, 42)
		freed(t, ordeal.Case{Filesystem: "GlusterFS 10, ping-timeout 42 s", Mount: f.Dir, Expect: ",fstype=glusterfs",
			Break: func() { f.Cut(t) }, Heal: func() { f.Heal(t) }, Free: f.Free, Late: 30 * time.Second,
			Arrived: arrived(filepath.Join(f.Store, "data", "file"))}, "the network is cut, `on_stuck: free`")
	})
	t.Run("MooseFS", func(t *testing.T) {
		t.Parallel()
		f := testkit.StartMooseFS(t)
		freedMoose(t, f, f.Chunks, "the chunkserver is stopped, `on_stuck: free`")
	})
	if testkit.Long() {
		t.Run("sshfs", func(t *testing.T) {
			t.Parallel()
			f := testkit.StartSSHFS(t, 0)
			x := ofSSHFS(f, "sshfs, no `ServerAliveInterval`")
			x.Break, x.Heal = func() { f.Server.PauseSessions(t) }, func() { f.Server.ResumeSessions(t) }
			freed(t, x, "the server's session is stopped, `on_stuck: free`")
		})
		t.Run("MooseFS without its master", func(t *testing.T) {
			t.Parallel()
			f := testkit.StartMooseFS(t)
			freedMoose(t, f, f.Master, "the master is stopped, `on_stuck: free`")
		})
	}
}

func freedMoose(t *testing.T, f *testkit.MooseFS, server testkit.MooseServer, fault string) {
	t.Helper()
	freed(t, ordeal.Case{Filesystem: "MooseFS 3", Mount: f.Dir, Expect: ",fstype=moosefs",
		Break: func() { server.Pause(t) }, Heal: func() { server.Resume(t) }, Free: func() { f.Free(); f.Client.Kill(t) },
		Ended: "mfsmount is killed", Late: 10 * time.Second, Arrived: latest(f.Chunkdir)}, fault)
}

// With on_stuck: wait, the default, the lock is held until the storage is back.
func TestStuckWaits(t *testing.T) {
	t.Parallel()
	if !testkit.Long() {
		return
	}
	f := testkit.PatientGluster(t, 42)
	row{fault: "the network is cut", findings: "hung"}.play(t, ordeal.Case{
		Filesystem: "GlusterFS 10, ping-timeout 42 s", Mount: f.Dir, Expect: ",fstype=glusterfs",
		Break: func() { f.Cut(t) }, Heal: func() { f.Heal(t) }, Free: f.Free,
		Arrived: arrived(filepath.Join(f.Store, "data", "file"))})
}

// What cannot be told drained in time can be given back all the same: the record says dead, and a successor
// waits settle. The same write may arrive after that.
func TestUndrainedIsReleased(t *testing.T) {
	t.Parallel()
	if !testkit.Long() {
		return
	}
	f := testkit.PatientGluster(t, 42)
	freed(t, ordeal.Case{Filesystem: "GlusterFS 10, ping-timeout 42 s", Mount: f.Dir, Expect: ",fstype=glusterfs",
		Break: func() { f.Cut(t) }, Heal: func() { f.Heal(t) }, Free: f.Free, Flags: []string{"--on-undrained", "release"},
		Arrived: arrived(filepath.Join(f.Store, "data", "file"))}, "the network is cut, `on_stuck: free`, `on_undrained: release`")
}

// The lock is lost while the payload is stuck: a mount that was broken to free it is not left for the next start to find.
func TestRuinedMountAfterALoss(t *testing.T) {
	t.Parallel()
	f := testkit.StartFaultFS(t, "")
	s := scene.New(t)
	s.Data, s.Timing = filepath.Join(f.Dir, "data"), ordeal.Timing()
	must(t, os.Mkdir(s.Data, 0o777))
	a := s.Run(t, "a", scene.Flags("--mount", f.Dir+",fail_after=1s", "--probe-period", "200ms", "--probe-timeout", "2s", "--on-stuck", "free", "--budgets-drain", "8s"),
		s.Payload(t, "-write", filepath.Join(s.Data, "file"), "-write-every", "100ms"))
	a.WaitPhase(t, limit, "serving")
	f.Set(t, "hang write,fsync")
	t.Cleanup(func() { f.Set(t, "ok") })
	testkit.Wait(t, limit, func() (bool, string) {
		st, err := a.Status()
		return err == nil && len(st.Stuck) > 0, fmt.Sprintf("not called stuck: %+v, %v", st, err)
	})
	must(t, os.Remove(strings.TrimPrefix(s.Lock, "file://")))
	a.Expect(t, limit, 74)
	if said := a.Stderr(t); !strings.Contains(said, "a lever was pulled") || strings.Contains(said, "storage volume=") {
		t.Errorf("expected a lever, and nobody asked whether it is drained: %s", said)
	}
	if mounted(f.Dir) {
		t.Error("the broken mount is still there")
	}
}

func freed(t *testing.T, x ordeal.Case, fault string) {
	t.Helper()
	x.Flags, x.Rescue = append(x.Flags, "--on-stuck", "free", "--budgets-drain", "1s"), "abort"
	row{fault: fault, findings: "hung"}.play(t, x)
}
