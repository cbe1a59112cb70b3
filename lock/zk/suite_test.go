package zk

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	gozk "github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/lock/locktest"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// freshPath is of its own for each test, which share servers.
func freshPath() string { return "/test/" + rand.Text() }

// TestSuite is the contract, on a real server.
func TestSuite(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	locktest.Run(t, locktest.Harness{Fresh: func(t *testing.T) locktest.Lock { return freshLock(t, server) }})
}

func freshLock(t *testing.T, server *testkit.ZKServer) locktest.Lock {
	path := freshPath()
	c := stranger(t, server)
	return locktest.Lock{
		Open: func(ctx context.Context, s lock.Settings) (lock.Driver, error) {
			u, err := ParseURL("zk://" + server.Addr() + path)
			if err != nil {
				return nil, err
			}
			return Open(ctx, u, s)
		},
		RemoveKey:    func(t *testing.T, p lock.Place) { must(t, c.Delete(p.(*place).key, -1)) },
		RemoveRecord: func(t *testing.T) { must(t, c.Delete(path+recordSuffix, -1)) },
		Overwrite: func(t *testing.T, data []byte) {
			_, err := c.Set(path+recordSuffix, data, -1)
			must(t, err)
		},
		Expire:   func(t *testing.T, _ lock.Driver, p lock.Place) { expire(t, server.Addr(), p.(*place).s) },
		Watches:  func(t *testing.T) int { return watchesOf(t, server, path) },
		Notified: func(t *testing.T) int { return notifiedBy(t, server) },
		Intrude:  func(t *testing.T) func() { return intrude(t, c, path+"/"+rand.Text()+"__lock__") },
	}
}

// intrude makes another program's key.
func intrude(t testing.TB, c *gozk.Conn, prefix string) func() {
	t.Helper()
	key, err := c.Create(prefix, []byte("10.0.0.7"), gozk.FlagEphemeralSequential, settingsACL())
	must(t, err)
	return func() { must(t, c.Delete(key, -1)) }
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// silence is a library logger that says nothing.
type silence struct{}

func (silence) Printf(string, ...any) {}

// stranger is another program's client, the superuser of the shared server.
func stranger(t testing.TB, server *testkit.ZKServer) *gozk.Conn {
	t.Helper()
	c, _, err := gozk.Connect([]string{server.Addr()}, 30*time.Second, gozk.WithLogger(silence{}))
	must(t, err)
	t.Cleanup(c.Close)
	must(t, c.AddAuth("digest", []byte("super:secret")))
	return c
}

// expire ends a session as the service would: another connection attaches it and closes it.
func expire(t testing.TB, addr string, s *session) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	h := s.known()
	_, err = attach(conn, h, h.granted, 0)
	must(t, err)
	bye := binary.BigEndian.AppendUint32(nil, 8)
	bye = binary.BigEndian.AppendUint32(bye, 1)
	bye = binary.BigEndian.AppendUint32(bye, ^uint32(10)) // closeSession is -11
	_, err = conn.Write(bye)
	must(t, err)
	_, err = conn.Read(make([]byte, 4))
	must(t, err)
}

// watchesOf counts (session, node) pairs below a lock's path, and on its record.
func watchesOf(t testing.TB, server *testkit.ZKServer, path string) int {
	t.Helper()
	n := 0
	for line := range strings.Lines(server.FourLetter(t, "wchc")) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, path+"/") || line == path+recordSuffix {
			n++
		}
	}
	return n
}

// notifiedBy counts the watch events of all sessions.
func notifiedBy(t testing.TB, server *testkit.ZKServer) int {
	t.Helper()
	n := 0
	for line := range strings.Lines(server.FourLetter(t, "mntr")) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(name, "zk_sum_node_") && strings.HasSuffix(name, "_watch_count") {
			v, err := strconv.Atoi(text)
			must(t, err)
			n += v
		}
	}
	return n
}

func settingsACL() []gozk.ACL { return gozk.WorldACL(gozk.PermAll) }
