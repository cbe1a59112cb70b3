//go:build vm

package nbd

import (
	"os"
	"testing"

	"github.com/interlock-run/interlock/internal/vmtest"
	"github.com/interlock-run/interlock/internal/vmtest/late"
	"github.com/interlock-run/interlock/mountcheck/probe"
	"github.com/interlock-run/interlock/mountcheck/rescue"
)

func TestMain(m *testing.M) {
	if os.Args[0] == probe.Name {
		os.Exit(probe.Main())
	}
	if os.Args[0] == rescue.Name {
		os.Exit(rescue.Main())
	}
	late.Play()
	vmtest.Main(m, vmtest.Family{
		Modules:   []string{"nbd", "veth", "quota_v2", "xfs"},
		Available: []string{"nf_tables", "tcp_diag", "inet_diag"},
		Tools:     []string{"nbd-client", "nbdkit", "mkfs.ext4", "mkfs.xfs", "blkid", "e2fsck", "nbd-server", "nft", "ss", "grep"},
		Files:     []string{"/usr/lib/*/nbdkit/plugins/nbdkit-file-plugin.so", "/usr/lib/*/nbdkit/filters/nbdkit-limit-filter.so"},
		Scripts:   []string{dropper},
		Binary:    true,
	})
}
