package etcd

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

// A peer is a running `etcdctl lock`.
type peer struct{ *testkit.Process }

func etcdctlLock(t *testing.T, s *testkit.EtcdServer, name string) peer {
	t.Helper()
	cmd := exec.Command("etcdctl", "--endpoints", s.Endpoint(), "lock", "--ttl", "10", name)
	cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
	return peer{testkit.StartCmd(t, cmd)}
}

// end lets it release its key.
func (p peer) end(t *testing.T) {
	t.Helper()
	p.Signal(t, syscall.SIGTERM)
	select {
	case <-p.Exited():
	case <-time.After(limit):
		t.Fatal("etcdctl does not end")
	}
}

// mustHold: it prints its key once it has the lock.
func (p peer) mustHold(t *testing.T) {
	t.Helper()
	testkit.Wait(t, limit, func() (bool, string) { return p.Stdout(t) != "", "etcdctl does not get the lock" })
}

func (p peer) mustWait(t *testing.T) {
	t.Helper()
	if out, early := testkit.Poll(300*time.Millisecond, func() (bool, string) { return p.Stdout(t) != "", p.Stdout(t) }); early {
		t.Fatalf("etcdctl has the lock beside us: %s", out)
	}
}
