package drain_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest/late"
	"github.com/interlock-run/interlock/mountcheck/drain"
)

// A daemon that has taken a write and hangs carries it out when it goes on, whatever became of the process
// and of the mount: only its own death ends that.
func TestLateWriteOfFUSE(t *testing.T) {
	for _, how := range []string{"mounted", "lazily", "force"} {
		t.Run(how, func(t *testing.T) {
			f := testkit.StartFaultFS(t, "")
			payload, volume := cut(t, f)
			payload.Act()
			f.Holds(t)
			payload.Kill(200 * time.Millisecond)
			if how != "mounted" {
				late.Unmount(t, f.Dir, how)
				volume.Done.Detached = true
			}
			volume.Never(t, 500*time.Millisecond)
			f.Set(t, "ok")
			testkit.Wait(t, late.Limit, func() (bool, string) {
				return f.Lands("file", "late"), "nothing landed, so the test has lost its sense"
			})
			f.Free()
			volume.Until(t, drain.Drained)
		})
	}
}

// The daemon dies with the write still in its hands: then it does not land, and the volume is drained.
func TestDeadDaemonOfFUSE(t *testing.T) {
	f := testkit.StartFaultFS(t, "")
	payload, volume := cut(t, f)
	payload.Act()
	f.Holds(t)
	payload.Kill(200 * time.Millisecond)
	f.Signal(t, 9)
	f.Wait(t, late.Limit)
	if v := volume.Ask(); v.State != drain.Pending {
		t.Errorf("still mounted: %+v", v)
	}
	f.Free()
	volume.Until(t, drain.Drained)
	if f.Lands("file", "late") {
		t.Error("it landed")
	}
}

// What the host mounted and keeps mounted is never drained, and waiting does not help: not with a living daemon,
// nor with a dead one. Unmounted it is asked as ever.
func TestKeptFUSE(t *testing.T) {
	f := testkit.StartFaultFS(t, "")
	volume := late.Capture(t, drain.Volume{Path: f.Dir})
	t.Cleanup(f.Free)
	if all := volume.Plan.Outlook(); len(all) != 1 || all[0].State != drain.Kept || volume.Plan.Local(f.Dir) {
		t.Errorf("outlook %+v", all)
	}
	volume.Done = drain.Evidence{Synced: true, Left: true}
	if v := volume.Ask(); v.State != drain.Kept {
		t.Errorf("synced and kept: %+v", v)
	}
	f.Signal(t, 9)
	f.Wait(t, late.Limit)
	if v := volume.Ask(); v.State != drain.Kept {
		t.Errorf("kept, its daemon dead: %+v", v)
	}
	f.Free()
	volume.Done = drain.Evidence{Detached: true}
	volume.Until(t, drain.Drained)
}

// What is unmounted at the end by whoever asks can be drained.
func TestOutlookOfOurs(t *testing.T) {
	f := testkit.StartFaultFS(t, "")
	volume := late.Capture(t, drain.Volume{Path: f.Dir, Ours: true})
	if all := volume.Plan.Outlook(); len(all) != 1 || all[0].State != drain.Drained {
		t.Errorf("outlook %+v", all)
	}
}

// What a dead daemon had sent to its server stays in a connection without an owner.
func TestLateWriteOfADaemonsServer(t *testing.T) {
	t.Run("here", func(t *testing.T) {
		server, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Close() })
		lateOnAWire(t, testkit.StartFaultFS(t, server.Addr().String()), server)
	})
	t.Run("in another network namespace", func(t *testing.T) {
		island := testkit.NewIsland(t)
		server := island.Listen(t)
		lateOnAWire(t, island.FaultFS(t, server.Addr().String()), server)
	})
}

func lateOnAWire(t *testing.T, f *testkit.FaultFS, server net.Listener) {
	t.Helper()
	conn, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	payload, volume := cut(t, f)
	f.Set(t, "ok")
	payload.Act() // the server is as one that is stopped: it reads nothing
	payload.Wait(t, late.Limit)
	f.Free()
	f.Wait(t, late.Limit)
	volume.Never(t, 500*time.Millisecond)
	landed := make([]byte, 4)
	if _, err := io.ReadFull(conn, landed); err != nil || string(landed) != "late" {
		t.Fatalf("%q, %v: nothing landed, so the test has lost its sense", landed, err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	volume.Until(t, drain.Drained)
}

// The connection to the server is that of a process that sshfs has started and is not the parent of: what is
// on its way there outlives mount and daemon, and is never called drained.
func TestLateWriteOfSSHFS(t *testing.T) {
	f := testkit.StartSSHFS(t, 0)
	if err := os.WriteFile(filepath.Join(f.Back, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	payload := late.Start(t, "push", filepath.Join(f.Dir, "file"))
	volume := late.Capture(t, drain.Volume{Path: f.Dir})
	t.Cleanup(f.Free) // before the payload is waited for
	f.Cut(t)
	payload.Act()
	payload.Kill(2 * time.Second) // until then sshfs has handed it to its ssh, also on a busy machine
	f.Client.Kill(t)
	f.Free()
	volume.Done.Detached = true
	volume.Never(t, time.Second)
	f.Heal(t)
	testkit.Wait(t, late.Limit, func() (bool, string) {
		text, err := os.ReadFile(filepath.Join(f.Back, "file"))
		return string(text) == "late", fmt.Sprintf("%q, %v: nothing landed, so the test has lost its sense", text, err)
	})
	volume.Never(t, 100*time.Millisecond)
}

// cut starts a payload, and lets the filesystem hang in all writes.
func cut(t *testing.T, f *testkit.FaultFS) (*late.Payload, *late.Case) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.Back, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	payload := late.Start(t, "push", filepath.Join(f.Dir, "file"))
	volume := late.Capture(t, drain.Volume{Path: f.Dir})
	t.Cleanup(f.Free) // before the payload is waited for
	f.Set(t, "hang write")
	return payload, volume
}
