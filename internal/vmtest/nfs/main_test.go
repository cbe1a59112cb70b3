//go:build vm

package nfs

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
		Modules: []string{"nfsd", "nfs", "nfsv4", "veth"},
		Tools:   []string{"mount.nfs4", "rpc.nfsd", "exportfs", "rpc.mountd", "nfsdcld"},
		Scripts: []string{unexporter},
		Binary:  true,
	})
}
