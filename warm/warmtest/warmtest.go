// Package warmtest has what the tests of dumping and loading share: items of mixed size in a real server, a
// comparison of two servers, and a man in the middle with the named defects of versions that cannot be had.
//
// Promise: what it compares it compares item by item, through connections of its own. Non-promise: it is
// no product code and checks nothing that memcached does. Called by tests alone.
package warmtest

import (
	"bufio"
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/memcached"
)

// Server is a kit's server as the product takes it.
func Server(t testing.TB, addr string) memcached.Server {
	t.Helper()
	s, err := memcached.ParseServer(addr)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// An Item is what a server shall hold.
type Item struct {
	Key   []byte
	Value []byte
	Flags uint32
	TTL   int64 // seconds; 0: for ever
	Hit   bool  // read once, so that it counts as used
}

// Mixed is the item of a number: 70 % of 100 bytes, 25 % of 1 KiB, 5 % of 4 KB, some empty and a few large;
// every fifth lasts for ever, keys of any bytes among them, the first half used.
func Mixed(i, n int) Item {
	size := 100
	switch {
	case i%20 == 19:
		size = 4000
	case i%4 == 3:
		size = 1024
	case i%1000 == 500:
		size = 0
	case i%10_000 == 7000:
		size = 300_000
	}
	key := fmt.Appendf(nil, "mix:%d", i)
	if i%50 == 7 {
		key = fmt.Appendf(nil, "a key \x00\xff%d\r\n", i)
	}
	it := Item{Key: key, Flags: uint32(i * 2654435761), Hit: i < n/2}
	if i%5 != 0 {
		it.TTL = int64(600 + i%100_000)
	}
	if i%1000 == 1 {
		it.TTL = 40*86400 + int64(i) // more than thirty days: absolute on the wire
	}
	seed := crc32.ChecksumIEEE(key)
	it.Value = bytes.Repeat(fmt.Appendf(nil, "%08x", seed), size/8+1)[:size]
	return it
}

// Fill stores items by number.
func Fill(t testing.TB, s memcached.Server, n int, of func(i, n int) Item) {
	t.Helper()
	c := dial(t, s)
	st, err := c.State()
	must(t, err)
	var r memcached.Reply
	for at := 0; at < n; at += 200 {
		for i := at; i < min(at+200, n); i++ {
			it := of(i, n)
			var e memcached.Expiry
			if it.TTL > 0 {
				e, err = memcached.ExpireAt(st.Time, st.Time+it.TTL)
				must(t, err)
			}
			must(t, c.SendAdd(it.Key, it.Value, it.Flags, e))
			if it.Hit {
				must(t, c.SendTouch(it.Key))
			}
		}
		must(t, c.SendNoop())
		must(t, c.Flush())
		for r.Status = 0; r.Status != memcached.End; {
			must(t, c.Read(&r))
			if r.Status != memcached.End && r.Status != memcached.Done {
				t.Fatalf("items from %d: %+v %v", at, r, r.Err)
			}
		}
	}
}

// Same compares what two servers hold of n items, and fails the test with the first differences. It gives how
// many the second one has.
func Same(t testing.TB, a, b memcached.Server, n int, of func(i, n int) Item) (have int) {
	t.Helper()
	ca, cb := dial(t, a), dial(t, b)
	bad := 0
	for at := 0; at < n && bad < 10; at += 100 {
		to := min(at+100, n)
		fromA, fromB := ask(t, ca, at, to, n, of), ask(t, cb, at, to, n, of)
		later := ask(t, ca, at, to, n, of) // a busy machine may let seconds pass in between
		// Each server's clock moves by whole seconds, at a moment of its own: between those they differ by one more.
		for range 5 {
			if inTime(fromA, fromB, later) {
				break
			}
			<-time.After(300 * time.Millisecond)
			fromA, fromB = ask(t, ca, at, to, n, of), ask(t, cb, at, to, n, of)
			later = ask(t, ca, at, to, n, of)
		}
		for i := at; i < to; i++ {
			x, y := fromA[i-at], fromB[i-at]
			if y.Status == memcached.Value {
				have++
			}
			if x.Status != y.Status || !bytes.Equal(x.Value, y.Value) || x.Flags != y.Flags || !alike(x, y, later[i-at]) {
				bad++
				t.Errorf("item %d %q: %d %d bytes flags %d left %d, in the other server %d %d bytes flags %d left %d", i, of(i, n).Key,
					x.Status, len(x.Value), x.Flags, x.Left, y.Status, len(y.Value), y.Flags, y.Left)
			}
		}
	}
	return have
}

// alike tells whether y has the lifetime of x, to a second; later is x again.
func alike(x, y, later memcached.Reply) bool {
	return y.Left >= later.Left-1 && y.Left <= x.Left+1 && (x.Left < 0) == (y.Left < 0)
}

// inTime tells whether all lifetimes are alike.
func inTime(a, b, later []memcached.Reply) bool {
	for i := range a {
		if !alike(a[i], b[i], later[i]) {
			return false
		}
	}
	return true
}

func ask(t testing.TB, c *memcached.Conn, from, to, n int, of func(i, n int) Item) []memcached.Reply {
	t.Helper()
	for i := from; i < to; i++ {
		must(t, c.SendGet(of(i, n).Key))
	}
	must(t, c.Flush())
	all := make([]memcached.Reply, to-from)
	for i := range all {
		must(t, c.Read(&all[i]))
	}
	return all
}

func dial(t testing.TB, s memcached.Server) *memcached.Conn {
	t.Helper()
	c, err := memcached.Dial(t.Context(), s, memcached.Options{Timeout: time.Minute})
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Middle stands between clients and a real server, and changes what the server lists: change gets each whole
// list, with the number of the listing, and gives what the client gets; a list whose change does not end in a
// line feed is cut there, and the connection closed.
func Middle(t testing.TB, kit *testkit.MemcachedServer, change func(listing int, text string) string) memcached.Server {
	t.Helper()
	return stand(t, &middle{target: kit.Addr(), change: change, pass: write})
}

func stand(t testing.TB, m *middle) memcached.Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	m.listing = make(chan int, 1)
	m.listing <- 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.serve(l)
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return Server(t, l.Addr().String())
}

type middle struct {
	target  string
	version string // in place of the server's own; empty: that
	change  func(int, string) string
	pass    func(net.Conn, string) error // gives a list to its reader
	listing chan int                     // the number of listings so far; who has it lists
}

func (m *middle) serve(l net.Listener) {
	ended := make(chan struct{}, 1000)
	count := 0
	for ; ; count++ {
		c, err := l.Accept()
		if err != nil {
			break
		}
		go func() {
			m.client(c)
			ended <- struct{}{}
		}()
	}
	for range count {
		<-ended
	}
}

// client passes requests on line by line; requests with values need nothing more, because a value passes as
// lines too.
func (m *middle) client(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("tcp", m.target)
	if err != nil {
		return
	}
	defer s.Close()
	from, server := bufio.NewReader(c), bufio.NewReader(s)
	copied := make(chan struct{})
	copying := false
	defer func() {
		s.Close()
		if copying {
			<-copied
		}
	}()
	for {
		line, err := from.ReadString('\n')
		if err != nil {
			return
		}
		if _, err := io.WriteString(s, line); err != nil {
			return
		}
		switch {
		case strings.HasPrefix(line, "lru_crawler metadump"):
			if !m.list(c, server) {
				return
			}
		case copying:
		case strings.HasPrefix(line, "version"):
			// Answered before the first listing of a connection can begin.
			answer, err := server.ReadString('\n')
			if m.version != "" {
				answer = "VERSION " + m.version + "\r\n"
			}
			if err != nil || write(c, answer) != nil {
				return
			}
		default:
			copying = true
			go func() {
				_, _ = io.Copy(c, server)
				c.Close()
				close(copied)
			}()
		}
	}
}

func write(c net.Conn, text string) error {
	_, err := io.WriteString(c, text)
	return err
}

// list takes a whole list from the server and gives the changed one to the client.
func (m *middle) list(c net.Conn, server *bufio.Reader) bool {
	n := <-m.listing
	defer func() { m.listing <- n + 1 }()
	var text strings.Builder
	for {
		line, err := server.ReadString('\n')
		if err != nil {
			return false
		}
		text.WriteString(line)
		if line == "END\r\n" {
			break
		}
	}
	changed := m.change(n, text.String())
	return m.pass(c, changed) == nil && strings.HasSuffix(changed, "\n")
}
