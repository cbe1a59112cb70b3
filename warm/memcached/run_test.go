package memcached_test

import (
	"testing"

	"github.com/interlock-run/interlock/warm/memcached"
)

// A run of the server is told from another by more than its pid, which is always the same in a container.
func TestContinues(t *testing.T) {
	before := memcached.State{PID: 1, Time: 1000, Uptime: 10, Accepted: 7}
	for name, c := range map[string]struct {
		now  memcached.State
		same bool
	}{
		"later":                             {memcached.State{PID: 1, Time: 1100, Uptime: 110, Accepted: 9}, true},
		"another pid":                       {memcached.State{PID: 2, Time: 1100, Uptime: 110, Accepted: 9}, false},
		"restarted, and up for longer":      {memcached.State{PID: 1, Time: 1100, Uptime: 50, Accepted: 9}, false},
		"restarted within the same second":  {memcached.State{PID: 1, Time: 1100, Uptime: 110, Accepted: 2}, false},
		"warm restart, which keeps the age": {memcached.State{PID: 3, Time: 1100, Uptime: 110, Accepted: 9}, false},
	} {
		if got := c.now.Continues(before); got != c.same {
			t.Errorf("%s: %v", name, got)
		}
	}
}
