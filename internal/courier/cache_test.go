package courier

import (
	"errors"
	"fmt"
	"testing"

	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/warm/drain"
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/job"
	"github.com/interlock-run/interlock/warm/load"
	"github.com/interlock-run/interlock/warm/memcached"
)

// What a memcached does not do is its being unavailable; what a disk of ours does not do is a dump that failed.
func TestCodesOfCaches(t *testing.T) {
	for want, all := range map[int][]error{
		exit.Unreachable: {drain.ErrTorn, drain.ErrStalled, drain.ErrLost, drain.ErrBusy, memcached.ErrLost, dump.ErrUnsettled, dump.ErrRestarted, load.ErrRestarts},
		exit.Restore:     {drain.ErrSpool, drain.ErrReader, errors.Join(drain.ErrStuck, drain.ErrStalled)},
		exit.Credentials: {memcached.ErrAuth, memcached.ErrTLS},
		exit.Held:        {dump.ErrRunning},
		exit.NoSnapshot:  {job.ErrNone},
	} {
		for _, err := range all {
			if got := exit.Code(CacheError(fmt.Errorf("given up after 5 tries: %w", err))); got != want {
				t.Errorf("%v: %d, want %d", err, got, want)
			}
		}
	}
}
