package load_test

import (
	"path/filepath"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/warmtest"
)

// A server that takes all its memory at its start, as for its own warm restart, has room all the same.
func TestPreallocated(t *testing.T) {
	t.Parallel()
	const n = 5000
	from := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 64})
	warmtest.Fill(t, warmtest.Server(t, from.Addr()), n, warmtest.Mixed)
	file := filepath.Join(t.TempDir(), "memory")
	to := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 100, Extra: []string{"-e", file}})
	run(t, options(t, to, dumped(t, from)))
	if have := warmtest.Same(t, warmtest.Server(t, from.Addr()), warmtest.Server(t, to.Addr()), n, warmtest.Mixed); have != n {
		t.Errorf("%d items of %d", have, n)
	}
}
