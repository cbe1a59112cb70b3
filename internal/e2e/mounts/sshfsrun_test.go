package mounts

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/ordeal"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A run on sshfs through its faults, each on its own: what has lost its server never finds it again.
func TestFaultsOfSSHFS(t *testing.T) {
	t.Parallel()
	full := func(f *testkit.SSHFS, t testing.TB) {
		must(t, os.WriteFile(filepath.Join(f.Back, "fill"), make([]byte, 28<<20), 0o600))
	}
	for name, c := range map[string]struct {
		begin, heal func(*testkit.SSHFS, testing.TB)
		row
	}{
		"killed": {func(f *testkit.SSHFS, t testing.TB) { f.Server.KillSessions(t) }, nil, row{"the server's session is killed: sshfs unmounts itself", "absent", false, false, ""}},
		"cut":    {func(f *testkit.SSHFS, t testing.TB) { f.Cut(t) }, func(f *testkit.SSHFS, t testing.TB) { f.Heal(t) }, row{"the network is cut: sshfs unmounts itself", "absent", false, false, ""}},
		"client": {func(f *testkit.SSHFS, t testing.TB) { f.Client.Kill(t) }, nil, row{"sshfs is killed", "disconnected", false, false, ""}},
		"full":   {full, func(f *testkit.SSHFS, t testing.TB) { must(t, os.Remove(filepath.Join(f.Back, "fill"))) }, row{"the server's disk is full, `min_free=8MiB`", "full", false, true, ",min_free=8MiB"}},
	} {
		if !c.wanted() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := testkit.StartSSHFS(t, 2)
			x := ofSSHFS(f, "sshfs, `ServerAliveInterval=2`")
			x.Break = func() { c.begin(f, t) }
			if c.heal != nil {
				x.Heal = func() { c.heal(f, t) }
			}
			c.play(t, x)
		})
	}
}

func ofSSHFS(f *testkit.SSHFS, name string) ordeal.Case {
	return ordeal.Case{Filesystem: name, Mount: f.Dir, Expect: ",fstype=sshfs", Free: f.Free,
		Late: 30 * time.Second, Arrived: arrived(filepath.Join(f.Back, "data", "file"))}
}
