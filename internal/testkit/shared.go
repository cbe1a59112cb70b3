package testkit

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// shared is a server started at the first request and kept until Main ends.
type shared[S any] struct {
	server  S
	started bool
	err     error
	stop    func() error
}

// SharedZooKeeper is one plain server for all tests of this process; tests
// must use paths of their own and leave it running. Needs Main.
func SharedZooKeeper(t testing.TB) *ZKServer {
	t.Helper()
	skipWithoutZooKeeper(t)
	s := getShared(t, &proc.zk, func(dir string) (*ZKServer, func() error, error) {
		s, err := startZooKeeper(dir, ZKOptions{Super: "super:secret"})
		return s, func() error { return s.stop(syscall.SIGKILL) }, err
	})
	recordRun(t, "zookeeper", s.Version(t))
	return s
}

// SharedEtcd is SharedZooKeeper for etcd.
func SharedEtcd(t testing.TB) *EtcdServer {
	t.Helper()
	skipWithoutEtcd(t)
	s := getShared(t, &proc.etcd, func(dir string) (*EtcdServer, func() error, error) {
		s, err := startEtcd(dir, EtcdOptions{})
		return s, func() error { return s.stop(syscall.SIGKILL) }, err
	})
	recordRun(t, "etcd", s.Version(t))
	return s
}

func getShared[S any](t testing.TB, slot *shared[S], start func(dir string) (S, func() error, error)) S {
	t.Helper()
	proc.mu.Lock()
	defer proc.mu.Unlock()
	if proc.dir == "" {
		t.Fatal("a shared server needs `func TestMain(m *testing.M) { testkit.Main(m) }` in this package")
	}
	if !slot.started {
		slot.started = true
		slot.server, slot.stop, slot.err = start(filepath.Join(proc.dir, "shared"))
	}
	must(t, slot.err)
	return slot.server
}

func stopShared() error {
	proc.mu.Lock()
	defer proc.mu.Unlock()
	return errors.Join(stopOne(&proc.zk), stopOne(&proc.etcd))
}

func stopOne[S any](s *shared[S]) error {
	if !s.started || s.err != nil {
		return nil
	}
	return s.stop()
}
