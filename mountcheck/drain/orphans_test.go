package drain_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/mountcheck/drain"
)

// A connection is an orphan from its owner's close until the server has taken and closed it.
func TestOrphans(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	server := netip.MustParseAddrPort(l.Addr().String())
	mine, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want int) {
		t.Helper()
		testkit.Wait(t, 30*time.Second, func() (bool, string) {
			n, err := drain.Orphans(server)
			return n == want && err == nil, "another number of orphans"
		})
	}
	expect(0)
	if err := mine.Close(); err != nil {
		t.Fatal(err)
	}
	expect(1)
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	expect(0)
}
