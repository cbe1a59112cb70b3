package etcd

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// leaseFixes are the first releases of each line in which a lease that was just renewed is not revoked
// early by a server that was paused or lost its quorum.
const leaseFixes = "3.4.31, 3.5.13, 3.6.0"

// hasLeaseDefect compares with leaseFixes. A version that cannot be read is not accused.
func hasLeaseDefect(version string) bool {
	var major, minor, patch int
	if n, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); n != 3 || err != nil {
		return false
	}
	switch {
	case major != 3:
		return major < 3
	case minor == 4:
		return patch < 31
	case minor == 5:
		return patch < 13
	}
	return minor < 4
}

// logDefect is the hint in the debug log, once a driver.
func (d *driver) logDefect(ctx context.Context) {
	err := d.do(ctx, func(ctx context.Context, e *endpoint) error {
		s, err := pb.NewMaintenanceClient(e.conn()).Status(ctx, &pb.StatusRequest{})
		if err == nil && hasLeaseDefect(s.GetVersion()) {
			d.s.Log(fmt.Sprintf("etcd %s at %s may revoke leases early; fixed in %s. Exclusion does not rest on it", s.GetVersion(), e.addr, leaseFixes))
		}
		return err
	})
	if err != nil {
		d.s.Log("etcd does not tell its version", "cause", err)
	}
}
