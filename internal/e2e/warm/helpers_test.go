package warm

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/ring"
	"github.com/interlock-run/interlock/warm/warmtest"
)

func itoa(n int) string { return strconv.Itoa(n) }

func ch3(t testing.TB, nodes int) *ring.Ring {
	t.Helper()
	var list []ring.Server
	for n := range nodes {
		list = append(list, ring.Server{Name: fmt.Sprintf("cache%d:11211", n+1)})
	}
	r, err := ring.New(ring.Ch3, list)
	must(t, err)
	return r
}

func ringKey(i int) []byte { return fmt.Appendf(nil, "user:%d", i) }

// ringServers are two nodes with n items where a client of two puts them.
func ringServers(t testing.TB, n int) (addresses []string) {
	t.Helper()
	r := ch3(t, 2)
	var conns []*memcached.Conn
	for range 2 {
		kit := fresh(t)
		c, err := memcached.Dial(t.Context(), warmtest.Server(t, kit.Addr()), memcached.Options{Timeout: time.Minute})
		must(t, err)
		t.Cleanup(c.Close)
		addresses, conns = append(addresses, kit.Addr()), append(conns, c)
	}
	for i := range n {
		must(t, conns[r.Node(ringKey(i))].SendAdd(ringKey(i), []byte("x"), 0, memcached.Expiry{}))
	}
	for _, c := range conns {
		must(t, c.SendNoop())
		must(t, c.Flush())
		var reply memcached.Reply
		must(t, c.Read(&reply))
		if reply.Status != memcached.End {
			t.Fatalf("%+v", reply)
		}
	}
	return addresses
}

// ringShare is how many of them the third node of three has.
func ringShare(t testing.TB, n int) (ours int64) {
	t.Helper()
	r := ch3(t, 3)
	for i := range n {
		if r.Node(ringKey(i)) == 2 {
			ours++
		}
	}
	return ours
}
