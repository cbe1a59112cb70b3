package drain

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// pair is a real connection on loopback; both ends close with the test.
func pair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	s, err := l.Accept()
	must(t, err)
	t.Cleanup(func() { _ = c.Close(); _ = s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func between(near, far *net.TCPConn) func(conn) bool {
	local, remote := near.LocalAddr().(*net.TCPAddr).AddrPort(), far.LocalAddr().(*net.TCPAddr).AddrPort()
	return func(c conn) bool { return c.local == local && c.remote == remote }
}

func judge(t *testing.T, w *wires, how func(*wires, []conn) (State, string)) (State, string) {
	t.Helper()
	all, err := connections()
	must(t, err)
	return how(w, all)
}

// An idle connection is quiet; bytes that the other side does not take are seen, also once the connection
// has no owner any more; only the other side's own close ends it.
func TestConnectionWithBytes(t *testing.T) {
	near, far := pair(t)
	w := newWires(between(near, far))
	if s, why := judge(t, w, (*wires).idle); s != Drained {
		t.Errorf("idle: %s: %s", s, why)
	}
	if s, _ := judge(t, w, (*wires).closed); s != Pending {
		t.Errorf("an open connection is %s", s)
	}
	must(t, near.SetWriteDeadline(time.Now().Add(200*time.Millisecond)))
	for full := false; !full; {
		_, err := near.Write(make([]byte, 1<<16))
		full = err != nil
	}
	if s, why := judge(t, w, (*wires).idle); s != Pending {
		t.Errorf("with bytes: %s: %s", s, why)
	}
	must(t, near.Close())
	if s, why := judge(t, w, (*wires).closed); s != Pending {
		t.Errorf("without an owner: %s: %s", s, why)
	}
	_, err := io.Copy(io.Discard, far)
	must(t, err)
	must(t, far.Close())
	testkit.Wait(t, 20*time.Second, func() (bool, string) {
		s, why := judge(t, w, (*wires).closed)
		return s == Drained, why
	})
}

// Other mounts keep the connections to a server busy, without a moment in which all are idle: each has to be once.
func TestBusyConnections(t *testing.T) {
	end := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.IPv4Unspecified(), port) }
	line := func(port uint16, unsent uint64) conn {
		return conn{local: end(port), remote: end(nfsPort), state: established, unsent: unsent}
	}
	busy := [][]conn{{line(1, 9), line(2, 0)}, {line(1, 0), line(2, 9)}}
	turn := 0
	look := func() ([]conn, error) { turn++; return busy[turn%2], nil }
	mine := func(c conn) bool { return c.remote == end(nfsPort) }
	if s, why := newWires(mine).calm(busy[0], look); s != Drained {
		t.Errorf("each idle once: %s: %s", s, why)
	}
	stuck := func() ([]conn, error) { return []conn{line(1, 9), line(2, 0)}, nil }
	if s, _ := newWires(mine).calm(busy[0], stuck); s != Pending {
		t.Errorf("one never idle: %s", s)
	}
}

// A peer that takes everything and never closes may be stopped, and go on later: when the kernel forgets
// the connection, that says nothing.
func TestConnectionForgotten(t *testing.T) {
	near, far := pair(t)
	w := newWires(between(near, far))
	now := time.Now()
	w.now = func() time.Time { return now }
	must(t, near.Close())
	var all []conn
	testkit.Wait(t, 20*time.Second, func() (bool, string) { // for the acknowledgement
		var err error
		all, err = connections()
		must(t, err)
		left := newWires(between(near, far)).open(all)
		return len(left) == 1 && left[0].state == finWait2, "the connection is not half closed"
	})
	if s, _ := w.closed(all); s != Pending {
		t.Errorf("half closed: %s", s)
	}
	now = now.Add(patience())
	if s, why := w.closed(nil); s != Unknown {
		t.Errorf("forgotten after a minute: %s: %s", s, why)
	}
	if s, _ := w.closed(nil); s != Unknown {
		t.Error("forgotten by us, too")
	}
	early := newWires(between(near, far))
	early.open(all)
	if s, why := early.closed(nil); s != Drained {
		t.Errorf("reset by the peer: %s: %s", s, why)
	}
}

func TestParseConnections(t *testing.T) {
	const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 01004D0A:0368 02004D0A:0801 04 0000101D:00000000 01:00000019 00000003     0        0 0 3 0
   2: 0000000000000000FFFF000001004D0A:0368 0000000000000000FFFF000002004D0A:2A39 01 00000000:00000000 00:00000000 00000000     0        0 77 3 0
`
	if !littleEndian() {
		t.Skip("the sample is of another kind of machine")
	}
	got, err := parseConnections(text)
	must(t, err)
	want := []conn{
		{netip.MustParseAddrPort("10.77.0.1:872"), netip.MustParseAddrPort("10.77.0.2:2049"), "04", 0x101d, 0},
		{netip.MustParseAddrPort("10.77.0.1:872"), netip.MustParseAddrPort("10.77.0.2:10809"), "01", 0, 77},
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, err := parseConnections("   1: 0100:X 02:0801 04 00:00 0 0 0 0 0 0\n"); err == nil {
		t.Error("nonsense was understood")
	}
}

func TestServerListed(t *testing.T) {
	const text = "NV SERVER   PORT USE HOSTNAME\nv4 0a4d0002  801   2 10.77.0.2\nv4 fd000000000000000000000000000002  801   1 fd00::2\n"
	for server, want := range map[string]bool{"10.77.0.2:2049": true, "10.77.0.3:2049": false, "10.77.0.2:2050": false, "[fd00::2]:2049": true} {
		if got, err := serverListed(text, netip.MustParseAddrPort(server), ""); err != nil || got != want {
			t.Errorf("%s: %v, %v", server, got, err)
		}
	}
	if _, err := serverListed("v4 what 801 1 x\n", netip.MustParseAddrPort("10.77.0.2:2049"), ""); err == nil {
		t.Error("a line that is not understood was taken for no server")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
