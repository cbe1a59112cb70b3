package etcd

import (
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/interlock-run/interlock/lock"
)

const (
	mib = 1 << 20
	// beatBytes is what one heartbeat adds to the database until it is compacted: key, record, tree.
	beatBytes = 250
	// usualQuota is etcd's default for --quota-backend-bytes.
	usualQuota = 2048 * mib
)

// diagnoseSize compares the database with its quota, which only 3.6 and later tell.
func (d *driver) diagnoseSize(addr string, s *pb.StatusResponse) lock.Diagnosis {
	quota, known := s.GetDbSizeQuota(), true
	if quota <= 0 {
		quota, known = usualQuota, false
	}
	size := s.GetDbSize()
	daily := int64(24*time.Hour/d.s.Timing.Heartbeat) * beatBytes
	what := fmt.Sprintf("etcd %s: database %d MiB", addr, size/mib)
	if known {
		what += fmt.Sprintf(" of %d MiB", quota/mib)
	} else {
		what += ", its quota is not told by this version (default 2048 MiB)"
	}
	what += fmt.Sprintf("; the heartbeats of each lock add about %d MiB a day until compacted, and a full database ends all holders together", max(1, daily/mib))
	if known && size < quota/2 {
		return lock.Diagnosis{Level: ok, What: what}
	}
	return lock.Diagnosis{Level: warn, What: what, Do: "run etcd with --auto-compaction-retention=1h, watch its size against --quota-backend-bytes, defragment when it is near"}
}
