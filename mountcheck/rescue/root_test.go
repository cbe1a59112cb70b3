package rescue

import (
	"testing"

	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/mountcheck/fusectl"
)

// The root is no lever's: a machine without a disk has it on NFS, a container on FUSE.
func TestTheRootIsLeftAlone(t *testing.T) {
	p := &Plan{list: fusectl.Open()}
	t.Cleanup(func() { _ = p.Close() }) // as the end of any plan
	for _, fstype := range []string{"nfs4", "fuse.fuse-overlayfs"} {
		for point, want := range map[string]bool{"/": false, "/srv": true} {
			levers, err := p.leversOf(mountcheck.Mount{Point: point, FSType: fstype, Minor: 1 << 19})
			if err != nil || len(levers) > 0 != want {
				t.Errorf("%s at %s: %v, %v", fstype, point, levers, err)
			}
		}
	}
}
