package load_test

import (
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/warmtest"
)

// A memcached that speaks TLS is filled and dumped like any other. It sleeps on what its TLS has read and it has not, until
// the next bytes come: none of what is sent to it may end so.
func TestTLS(t *testing.T) {
	t.Parallel()
	const n = 20_000
	from := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 128})
	warmtest.Fill(t, warmtest.Server(t, from.Addr()), n, warmtest.Mixed)
	to := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 128, TLS: true})
	o := options(t, to, dumped(t, from))
	o.Server.TLS = &memcached.TLS{CA: to.CA()}
	if r := run(t, o); r.Loaded != n || r.Interrupted != 0 {
		t.Errorf("%+v", r)
	}
	if have := warmtest.Same(t, warmtest.Server(t, from.Addr()), o.Server, n, warmtest.Mixed); have != n {
		t.Errorf("%d items of %d", have, n)
	}
}
