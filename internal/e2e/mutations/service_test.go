package mutations

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/interlock-run/interlock/internal/testkit"
)

// A service is the lock as an operator's own tools see it.
type service interface {
	url(addr string) string
	addr() string
	// record is empty where there is none.
	record() (string, error)
	removeRecord() error
	keys() ([]string, error) // of the queue, in order
	removeKey(key string) error
}

const recordSuffix = ".interlock"

// limit bounds one request of ours.
const limit = 5 * time.Second

type onEtcd struct {
	server *testkit.EtcdServer
	client *clientv3.Client
	name   string
}

func etcd(t testing.TB, name string) service {
	t.Helper()
	s := testkit.SharedEtcd(t)
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Addr()}, DialTimeout: limit})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return onEtcd{s, c, "mutations/" + name}
}

func (e onEtcd) url(addr string) string { return "etcd://" + addr + "/" + e.name }
func (e onEtcd) addr() string           { return e.server.Addr() }

func (e onEtcd) record() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	r, err := e.client.Get(ctx, e.name+recordSuffix)
	if err != nil || len(r.Kvs) == 0 {
		return "", err
	}
	return string(r.Kvs[0].Value), nil
}

func (e onEtcd) removeRecord() error { return e.removeKey(e.name + recordSuffix) }

func (e onEtcd) removeKey(key string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	_, err := e.client.Delete(ctx, key)
	return err
}

func (e onEtcd) keys() ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	r, err := e.client.Get(ctx, e.name+"/", clientv3.WithPrefix(), clientv3.WithKeysOnly(),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, kv := range r.Kvs {
		keys = append(keys, string(kv.Key))
	}
	return keys, nil
}

type onZooKeeper struct {
	server *testkit.ZKServer
	conn   *zk.Conn
	path   string
}

type silence struct{}

func (silence) Printf(string, ...any) {}

func zookeeper(t testing.TB, server *testkit.ZKServer, name string) service {
	t.Helper()
	c, _, err := zk.Connect([]string{server.Addr()}, 30*time.Second, zk.WithLogger(silence{}))
	must(t, err)
	t.Cleanup(c.Close)
	return onZooKeeper{server, c, "/mutations-" + name}
}

func (z onZooKeeper) url(addr string) string { return "zk://" + addr + z.path }
func (z onZooKeeper) addr() string           { return z.server.Addr() }

func (z onZooKeeper) record() (string, error) {
	data, _, err := z.conn.Get(z.path + recordSuffix)
	if errors.Is(err, zk.ErrNoNode) {
		return "", nil
	}
	return string(data), err
}

func (z onZooKeeper) removeRecord() error        { return absent(z.conn.Delete(z.path+recordSuffix, -1)) }
func (z onZooKeeper) removeKey(key string) error { return absent(z.conn.Delete(z.path+"/"+key, -1)) }

// absent: what is not there was removed.
func absent(err error) error {
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	return err
}

func (z onZooKeeper) keys() ([]string, error) {
	keys, _, err := z.conn.Children(z.path)
	if err != nil {
		return nil, absent(err)
	}
	sequence := func(key string) string { return key[strings.LastIndex(key, "-")+1:] }
	slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(sequence(a), sequence(b)) })
	return keys, nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
