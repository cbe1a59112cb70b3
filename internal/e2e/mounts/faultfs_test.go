package mounts

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/e2e/ordeal"
	"github.com/interlock-run/interlock/internal/testkit"
)

// faulty is the case of one that fails on command.
func faulty(t *testing.T, fault string) (*testkit.FaultFS, ordeal.Case) {
	t.Helper()
	f := testkit.StartFaultFS(t, "")
	return f, ordeal.Case{Filesystem: "FUSE (a daemon of the tests)", Fault: fault, Mount: f.Dir, Free: f.Free,
		Arrived: arrived(filepath.Join(f.Back, "data", "file"))}
}

// Whatever a FUSE daemon does, the run finds it and ends as its policy says.
func TestFaultsOfFUSE(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, command string
		row
	}{
		{"hang", "hang", row{"takes requests and never answers", "hung", true, false, ""}},
		{"hang-writes", "hang write,fsync", row{"never answers writes and syncs", "hung", false, false, ""}},
		{"EIO", "error EIO", row{"answers EIO", "erroring", false, false, ""}},
		{"EIO-writes", "error EIO write,fsync", row{"answers EIO to writes and syncs", "erroring", true, false, ""}},
		{"ESTALE", "error ESTALE", row{"answers ESTALE", "stale", false, false, ""}},
		{"ENOTCONN", "error ENOTCONN", row{"answers ENOTCONN", "disconnected", false, false, ""}},
		{"EACCES", "error EACCES", row{"answers EACCES", "denied", false, false, ""}},
		{"EROFS", "error EROFS create,write,fsync", row{"answers EROFS to writes", "readonly", false, false, ""}},
		{"ENOSPC", "error ENOSPC create,write,fsync", row{"answers ENOSPC to writes", "full", true, true, ""}},
		{"EDQUOT", "error EDQUOT create,write,fsync", row{"answers EDQUOT to writes, `policy=full:kill`", "full", false, false, ",policy=full:kill"}},
		{"slow", "slow 30ms", row{"answers each request after 30 ms, `latency=100ms`", "slow", false, true, ",latency=100ms"}},
		{"EIO-alert", "error EIO", row{"answers EIO, `policy=erroring:alert`", "erroring", false, true, ",policy=erroring:alert"}},
		{"hang-alert", "hang write,fsync", row{"never answers writes, `policy=hung:alert`", "hung", false, true, ",policy=hung:alert"}},
		{"EIO-ignore", "error EIO", row{"answers EIO, `policy=erroring:ignore`", "", false, true, ",policy=erroring:ignore"}},
	} {
		if !c.wanted() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, x := faulty(t, c.fault)
			x.Break, x.Heal = func() { f.Set(t, c.command) }, func() { f.Set(t, "ok") }
			c.play(t, x)
		})
	}
}

// A daemon that is stopped takes no request; one that dies leaves a mount that answers ENOTCONN.
func TestFaultsOfADaemon(t *testing.T) {
	t.Parallel()
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		f, x := faulty(t, "")
		x.Break = func() { f.Signal(t, syscall.SIGKILL) }
		row{fault: "the daemon is killed", findings: "disconnected"}.play(t, x)
	})
	if !testkit.Long() {
		return
	}
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		f, x := faulty(t, "")
		x.Break, x.Heal = func() { f.Signal(t, syscall.SIGSTOP) }, func() { f.Signal(t, syscall.SIGCONT) }
		row{fault: "the daemon is stopped", findings: "hung"}.play(t, x)
	})
}
