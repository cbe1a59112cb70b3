package drain_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/mountcheck/drain"
)

// A connection is an orphan from its owner's close until the server has taken and closed it.
func TestOrphans(t *testing.T) {
	// An address of its own: somebody may still try to reach a server that had the port on another before.
	l, err := net.Listen("tcp", "127.71.3.9:0")
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
			return n == want && err == nil, fmt.Sprintf("%d orphans, %v, expected %d", n, err, want)
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
