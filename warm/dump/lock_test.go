package dump_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/dump"
	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/warmtest"
)

// both takes both locks of a server.
func both(t *testing.T, folder, addr string) (*dump.Lock, error) {
	t.Helper()
	s := warmtest.Server(t, addr)
	l, err := dump.Acquire(folder, s)
	if err != nil {
		return nil, err
	}
	c, err := memcached.Dial(t.Context(), s, memcached.Options{Timeout: time.Minute})
	must(t, err)
	defer c.Close()
	if err := l.Meet(c); err != nil {
		return nil, errors.Join(err, l.Release())
	}
	return l, nil
}

// socketTo is a socket behind which a server listens, as a sidecar has it.
func socketTo(t *testing.T, addr string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s") // short: the path is limited
	must(t, err)
	path := filepath.Join(dir, "sock")
	l, err := net.Listen("unix", path)
	must(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			forward(c, addr)
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended; must(t, os.RemoveAll(dir)) })
	return path
}

// forward serves one client to its end.
func forward(c net.Conn, addr string) {
	defer c.Close()
	s, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	answered := make(chan struct{})
	go func() {
		_, _ = io.Copy(c, s)
		close(answered)
	}()
	_, _ = io.Copy(s, c)
	_ = s.Close() // which ends the answers
	<-answered
}

// A server is one, however it is named and wherever the lock files lie. Two behind different ports are two: in containers
// each may be process 1, and both may have begun in the same second.
func TestOneLockForAllNames(t *testing.T) {
	t.Parallel()
	kit, other := testkit.Memcached(t, testkit.MemcachedOptions{}), testkit.Memcached(t, testkit.MemcachedOptions{})
	_, port, err := net.SplitHostPort(kit.Addr())
	must(t, err)
	folder := t.TempDir()
	first, err := both(t, folder, kit.Addr())
	must(t, err)
	again := map[string]func() (*dump.Lock, error){
		"localhost":      func() (*dump.Lock, error) { return both(t, folder, "localhost:"+port) },
		"another folder": func() (*dump.Lock, error) { return both(t, t.TempDir(), kit.Addr()) },
		"no folder":      func() (*dump.Lock, error) { return both(t, "", kit.Addr()) },
		"a socket":       func() (*dump.Lock, error) { return both(t, folder, socketTo(t, kit.Addr())) },
	}
	for name, take := range again {
		if _, err := take(); !errors.Is(err, dump.ErrRunning) {
			t.Errorf("%s: %v, want ErrRunning", name, err)
		}
	}
	for name, addr := range map[string]string{"another server": other.Addr(), "the same numbers behind another port": testkit.NewProxy(t, kit.Addr()).Addr()} {
		l, err := both(t, folder, addr)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		must(t, l.Release())
	}
	must(t, first.Release())
	for name, take := range again {
		l, err := take()
		if err != nil {
			t.Fatalf("%s, after all was released: %v", name, err)
		}
		must(t, l.Release())
	}
}

// The host's own address is the host, like localhost.
func TestOneLockForTheHostsAddress(t *testing.T) {
	t.Parallel()
	island := testkit.NewIsland(t)
	own := island.Listen(t).Addr().(*net.TCPAddr) // takes a port that is free, and tells the address
	argv := []string{"memcached", "-U", "0", "-l", own.IP.String() + ",127.0.0.1", "-p", "11311"}
	if os.Geteuid() == 0 {
		argv = append(argv, "-u", "root")
	}
	testkit.StartCmd(t, island.Command(argv...))
	testkit.Wait(t, 20*time.Second, func() (bool, string) {
		err := island.Listens("11311")()
		return err == nil, "it does not listen"
	})
	there(t, island, func() {
		first, err := both(t, t.TempDir(), own.IP.String()+":11311")
		must(t, err)
		if _, err := both(t, t.TempDir(), "127.0.0.1:11311"); !errors.Is(err, dump.ErrRunning) {
			t.Errorf("%v, want ErrRunning", err)
		}
		must(t, first.Release())
	})
}

// there runs a function on a thread that is on the island, and ends with it.
func there(t *testing.T, island *testkit.Island, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		ns, err := os.Open(strings.TrimPrefix(island.Argv()[1], "--net="))
		if err == nil {
			err = errors.Join(unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET), ns.Close())
		}
		if err != nil {
			t.Error(err)
			return
		}
		do()
	}()
	<-done
}
