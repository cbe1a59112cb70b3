//go:build vm

package nbd

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/internal/vmtest"
)

const dropper = "examples/fencing/nbd-drop"

// fence is what the head of the script wants at the server, once.
const fence = `nft -f - <<'END'
add table inet interlock
flush table inet interlock
add set inet interlock fenced { type ipv4_addr; }
add chain inet interlock input { type filter hook input priority -10; }
add rule inet interlock input ip saddr @fenced tcp dport 10809 drop
END`

// The fence agent for NBD servers: what a cut-off client sent does not land once it can reach the server
// again, although it was unmounted and detached without an error, and the next client is let in at once.
func TestFence(t *testing.T) {
	for _, kind := range []string{"nbdkit", "nbd-server"} {
		t.Run(kind, func(t *testing.T) {
			e := newExportOf(t, kind)
			client := []string{"port=n1", "client=" + vmtest.ClientAddr}
			e.At(fence)
			t.Cleanup(func() { e.At("nft delete table inet interlock") })
			if code, said := e.Fence(dropper, append(client, "action=status")...); code != 0 {
				t.Errorf("before: status ended with %d: %s", code, said)
			}
			volume := e.lost(func(e *export) { e.Cut() })
			volume.Never(t, time.Second)
			e.FenceOff(dropper, client...)
			before := e.changed()
			e.Join()
			testkit.Poll(5*time.Second, func() (bool, string) { return e.changed() != before, "" })
			if now := e.changed(); now != before {
				t.Errorf("it arrived: %s, %s", before, now)
			}
			e.successor()
		})
	}
}

// successor is another node: it has the export at once.
func (e *export) successor() {
	t := e.t
	t.Helper()
	const address = "10.77.0.3"
	vmtest.Run(t, "ip", "addr", "add", address+"/24", "dev", "client")
	vmtest.Run(t, "ip", "route", "replace", vmtest.ServerAddr, "dev", "client", "src", address)
	t.Cleanup(func() {
		vmtest.Run(t, "ip", "route", "del", vmtest.ServerAddr)
		vmtest.Run(t, "ip", "addr", "del", address+"/24", "dev", "client")
	})
	vmtest.Run(t, "nbd-client", "-timeout", "2", vmtest.ServerAddr, fmt.Sprint(port), node)
	t.Cleanup(e.free)
	t.Cleanup(e.disconnect)
	dir := filepath.Join(t.TempDir(), "mnt")
	must(t, unix.Mkdir(dir, 0o755))
	must(t, unix.Mount(node, dir, "ext4", 0, ""))
	testkit.Unmount(t, dir)
}
