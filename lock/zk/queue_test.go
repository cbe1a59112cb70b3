package zk

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	gozk "github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

// To come costs the same behind many as behind few: the names say that interlocks made the keys ahead.
func TestJoinBehindMany(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	url := "zk://" + server.Addr() + freshPath()
	held(t, opened(t, url, settings()))
	var behind [2]int
	for i := range 20 {
		p := joined(t, opened(t, url, settings()))
		switch asked := requestsOf(t, server, p); {
		case i < 2:
			behind[i] = asked
		case asked != behind[1]:
			t.Fatalf("contender %d made %d requests to join, expected %d like the second one", i, asked, behind[1])
		}
	}
}

// The next in line asks for no list when the one ahead goes: it writes its key, and watches it from then on.
func TestGrantWithoutList(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	url := "zk://" + server.Addr() + freshPath()
	first := held(t, opened(t, url, settings()))
	next := joined(t, opened(t, url, settings()))
	granted := awaiting(t, next)
	watches := func(n int) func() (bool, string) {
		return func() (bool, string) {
			is := watchesOf(t, server, next.d.path)
			return is == n, fmt.Sprintf("%d watches, expected %d", is, n)
		}
	}
	testkit.Wait(t, patient, watches(3)) // the holder's own, on the key ahead, on the record
	before := requestsOf(t, server, next)
	must(t, first.Leave(within(t, patient)))
	must(t, testkit.Recv(t, patient, "the grant", granted))
	testkit.Wait(t, patient, watches(2)) // its own, and the one on the record that never was
	if n := requestsOf(t, server, next) - before; n != 2 {
		t.Fatalf("%d requests for the grant, expected 2", n)
	}
}

// requestsOf is the number of the session's last request but pings.
func requestsOf(t *testing.T, server *testkit.ZKServer, p *place) int {
	t.Helper()
	session := regexp.MustCompile(fmt.Sprintf(`sid=%#x,.*,lcxid=0x([0-9a-f]+),`, p.s.known().id))
	m := session.FindStringSubmatch(server.FourLetter(t, "cons"))
	if m == nil {
		t.Fatalf("ZooKeeper shows no session %#x", p.s.known().id)
	}
	n, err := strconv.ParseInt(m[1], 16, 64)
	must(t, err)
	return int(n)
}

// A key of another program is found wherever it stands ahead of ours, also one with a name like our own.
func TestForeignKeyAmongOurs(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	lockPath := freshPath()
	url := "zk://" + server.Addr() + lockPath
	held(t, opened(t, url, beside()))
	c := stranger(t, server)
	key, err := c.Create(lockPath+"/_c_0123456789abcdef0123456789abcdef-lock-", []byte("10.0.0.7"), gozk.FlagEphemeralSequential, settingsACL())
	must(t, err)
	for range 3 {
		joined(t, opened(t, url, beside()))
	}
	refused(t, url, settings(), lock.ErrConfig, filepath.Base(key), "foreign peers")
}
