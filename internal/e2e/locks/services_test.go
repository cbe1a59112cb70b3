package locks

import (
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

const recordSuffix = ".interlock"

// etcdService looks by etcdctl.
type etcdService struct {
	server *testkit.EtcdServer
	name   string
}

// onEtcd is a fresh lock below interlock/.
func onEtcd(t testing.TB, server *testkit.EtcdServer, addr string) *rig {
	t.Helper()
	s := newScene(t)
	name := "interlock/" + lockNameOf(s)
	s.Lock = "etcd://" + addr + "/" + name
	return &rig{s, etcdService{server, name}}
}

func (e etcdService) ctl(t testing.TB, args ...string) string {
	t.Helper()
	out, err := e.server.Ctl(args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(out, "\n")
}

func (e etcdService) Record(t testing.TB) (string, bool) {
	t.Helper()
	out := e.ctl(t, "get", "--print-value-only", e.name+recordSuffix)
	return out, out != ""
}

func (e etcdService) PutRecord(t testing.TB, data string) { e.ctl(t, "put", e.name+recordSuffix, data) }
func (e etcdService) RemoveRecord(t testing.TB)           { e.ctl(t, "del", e.name+recordSuffix) }
func (e etcdService) RemoveKey(t testing.TB, key string)  { e.ctl(t, "del", key) }

func (e etcdService) Keys(t testing.TB) []string {
	t.Helper()
	return strings.Fields(e.ctl(t, "get", "--prefix", "--keys-only", "--sort-by=CREATE", e.name+"/"))
}

// zkService looks by a client of its own.
type zkService struct {
	conn   *zk.Conn
	server *testkit.ZKServer
	path   string
}

const superuser = "super:secret"

// silence is a library logger that says nothing.
type silence struct{}

func (silence) Printf(string, ...any) {}

// onZooKeeper is a fresh lock on the server, whose superuser is superuser.
func onZooKeeper(t testing.TB, server *testkit.ZKServer, addr string) *rig {
	t.Helper()
	s := newScene(t)
	path := "/e2e/" + lockNameOf(s)
	s.Lock = "zk://" + addr + path
	return &rig{s, zkService{stranger(t, server, superuser), server, path}}
}

// stranger is another program's client, with digest authentication.
func stranger(t testing.TB, server *testkit.ZKServer, userPassword string) *zk.Conn {
	t.Helper()
	c, err := dialZooKeeper(t, server, userPassword)
	must(t, err)
	return c
}

func dialZooKeeper(t testing.TB, server *testkit.ZKServer, userPassword string) (*zk.Conn, error) {
	c, _, err := zk.Connect([]string{server.Addr()}, 30*time.Second, zk.WithLogger(silence{}))
	if err != nil {
		return nil, err
	}
	t.Cleanup(c.Close)
	return c, c.AddAuth("digest", []byte(userPassword))
}

// asked gives the answer to a question that may be asked again, then by a client of its own: the library never
// answers one that was on its way when the connection broke, and may answer nothing at all any more.
func asked[T any](t testing.TB, z zkService, ask func(*zk.Conn) (T, error)) (T, error) {
	t.Helper()
	type answer struct {
		value T
		err   error
	}
	for try := range 5 {
		got := make(chan answer, 1)
		go func() {
			a, conn := answer{}, z.conn
			if try > 0 {
				conn, a.err = dialZooKeeper(t, z.server, superuser)
			}
			if a.err == nil {
				a.value, a.err = ask(conn)
			}
			got <- a
		}()
		select {
		case a := <-got:
			return a.value, a.err
		case <-time.After(5 * time.Second):
		}
	}
	t.Fatal("ZooKeeper does not answer the test")
	panic("not reached")
}

func (z zkService) Record(t testing.TB) (string, bool) {
	t.Helper()
	data, err := asked(t, z, func(conn *zk.Conn) ([]byte, error) {
		data, _, err := conn.Get(z.path + recordSuffix)
		return data, err
	})
	if errors.Is(err, zk.ErrNoNode) {
		return "", false
	}
	must(t, err)
	return string(data), true
}

func (z zkService) PutRecord(t testing.TB, data string) {
	t.Helper()
	at := z.path + recordSuffix
	_, err := z.conn.Set(at, []byte(data), -1)
	if errors.Is(err, zk.ErrNoNode) {
		z.parent(t)
		_, err = z.conn.Create(at, []byte(data), 0, zk.WorldACL(zk.PermAll))
	}
	must(t, err)
}

func (z zkService) parent(t testing.TB) {
	t.Helper()
	_, err := z.conn.Create("/e2e", nil, 0, zk.WorldACL(zk.PermAll))
	if !errors.Is(err, zk.ErrNodeExists) {
		must(t, err)
	}
}

func (z zkService) RemoveRecord(t testing.TB) {
	t.Helper()
	must(t, z.conn.Delete(z.path+recordSuffix, -1))
}

func (z zkService) RemoveKey(t testing.TB, key string) {
	t.Helper()
	must(t, z.conn.Delete(z.path+"/"+key, -1))
}

func (z zkService) Keys(t testing.TB) []string {
	t.Helper()
	keys, err := asked(t, z, func(conn *zk.Conn) ([]string, error) {
		keys, _, err := conn.Children(z.path)
		return keys, err
	})
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	must(t, err)
	slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(sequence(a), sequence(b)) })
	return keys
}

func sequence(key string) string { return key[strings.LastIndex(key, "-")+1:] }

// fileService looks by `lock show`: the format of the file is nobody's business but the driver's.
type fileService struct{ *scene.Scene }

func (f fileService) show(t testing.TB) (queue []struct{ Key, Holder string }, rec json.RawMessage) {
	t.Helper()
	if _, err := os.Stat(strings.TrimPrefix(f.Lock, "file://")); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var view struct {
		Queue  []struct{ Key, Holder string }
		Record json.RawMessage
	}
	f.ShowLock(t, &view)
	return view.Queue, view.Record
}

func (f fileService) Record(t testing.TB) (string, bool) {
	t.Helper()
	_, rec := f.show(t)
	return string(rec), len(rec) > 0
}

func (f fileService) Keys(t testing.TB) []string {
	t.Helper()
	queue, _ := f.show(t)
	var keys []string
	for _, q := range queue {
		keys = append(keys, q.Key)
	}
	return keys
}

func (f fileService) PutRecord(t testing.TB, _ string) {
	t.Helper()
	t.Fatal("nobody writes into a lock file")
}

func (f fileService) RemoveRecord(t testing.TB) { t.Helper(); t.Fatal("the record is the lock file") }

func (f fileService) RemoveKey(t testing.TB, _ string) {
	t.Helper()
	t.Fatal("a lock on a file is a kernel's")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// readFile is empty while there is no such file.
func readFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if !errors.Is(err, os.ErrNotExist) {
		must(t, err)
	}
	return string(data)
}

func contains(text, part string) bool { return strings.Contains(text, part) }
