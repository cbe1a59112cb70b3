package etcd

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/lock/locktest"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// TestSuite is the contract of lock/lock.go against a real server.
func TestSuite(t *testing.T) {
	server := testkit.Etcd(t, testkit.EtcdOptions{})
	var n atomic.Int32
	locktest.Run(t, locktest.Harness{Fresh: func(t *testing.T) locktest.Lock {
		return suiteLock(server, fmt.Sprintf("suite/%d", n.Add(1)))
	}})
}

func suiteLock(server *testkit.EtcdServer, name string) locktest.Lock {
	ctl := func(t *testing.T, args ...string) {
		t.Helper()
		if _, err := server.Ctl(args...); err != nil {
			t.Fatal(err)
		}
	}
	return locktest.Lock{
		Open: func(ctx context.Context, s lock.Settings) (lock.Driver, error) {
			return Open(ctx, &url.URL{Scheme: "etcd", Host: server.Addr(), Path: "/" + name}, s)
		},
		RemoveKey:    func(t *testing.T, p lock.Place) { ctl(t, "del", p.(*place).key) },
		RemoveRecord: func(t *testing.T) { ctl(t, "del", name+".interlock") },
		Overwrite:    func(t *testing.T, data []byte) { ctl(t, "put", name+".interlock", string(data)) },
		Expire: func(t *testing.T, _ lock.Driver, p lock.Place) {
			ctl(t, "lease", "revoke", fmt.Sprintf("%x", int64(p.(*place).lease)))
		},
		Intrude: func(t *testing.T) func() {
			key := name + "/" + rand.Text()
			ctl(t, "put", key, "")
			return func() { ctl(t, "del", key) }
		},
		Watches: func(t *testing.T) int {
			return int(server.Metric(t, "etcd_debugging_mvcc_watcher_total"))
		},
		Notified: func(t *testing.T) int {
			return int(server.Metric(t, "etcd_debugging_mvcc_events_total"))
		},
	}
}
