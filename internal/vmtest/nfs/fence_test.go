//go:build vm

package nfs

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest"
	"github.com/interlock-run/interlock/internal/vmtest/late"
	"github.com/interlock-run/interlock/mountcheck/drain"
)

const unexporter = "examples/fencing/nfs-unexport"

// The fence agent for NFS servers: what a cut-off client sends after it does not land, neither when the
// client can reach the server again nor when it is let in again.
func TestFence(t *testing.T) {
	s := newServer(t)
	client := []string{"port=n1", "export=" + exported, "client=" + vmtest.ClientAddr}
	if code, said := s.Fence(unexporter, append(client, "action=status")...); code != 1 {
		t.Errorf("an export to a subnet: status ended with %d: %s", code, said)
	}
	s.exportTo(vmtest.ClientAddr, "rw")
	t.Cleanup(func() { s.export("rw") })
	if code, said := s.Fence(unexporter, append(client, "action=status")...); code != 0 {
		t.Errorf("before: status ended with %d: %s", code, said)
	}
	dir, arrives := s.mount(""), filepath.Join(exported, "fenced")
	must(t, os.WriteFile(arrives, nil, 0o644))
	payload := late.Start(t, "write", filepath.Join(dir, "fenced"))
	volume := late.Capture(t, drain.Volume{Path: dir})
	s.Cut()
	payload.Act()
	payload.Kill(time.Second)
	lazily(t, volume)
	volume.Never(t, time.Second)
	s.FenceOff(unexporter, client...)
	s.Join()
	volume.Until(t, drain.Drained)
	s.At("exportfs -ra")
	if code, _ := s.Fence(unexporter, append(client, "action=status")...); code != 0 {
		t.Errorf("let in again: status ended with %d", code)
	}
	testkit.Poll(8*time.Second, func() (bool, string) { return content(arrives) != "0", "" })
	if got := content(arrives); got != "0" {
		t.Errorf("it arrived: %q", got)
	}
}
