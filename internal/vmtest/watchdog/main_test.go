//go:build vm

package watchdog

import (
	"testing"

	"github.com/interlock-run/interlock/internal/vmtest"
)

func TestMain(m *testing.M) {
	vmtest.Main(m, vmtest.Family{
		Modules: []string{"softdog", "loop", "dm-mod"},
		Tools:   []string{"sleep", "etcd", "etcdctl", "losetup", "dmsetup", "mkfs.ext4"},
		Binary:  true, Memory: 640, Resets: 2,
	})
}
