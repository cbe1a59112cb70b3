package zk

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gozk "github.com/go-zookeeper/zk"

	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/lock"
)

func as(user, password string) lock.Settings {
	s := settings()
	s.User, s.Password = user, password
	return s
}

// refused joins and expects one kind of error that names all the words.
func refused(t testing.TB, url string, s lock.Settings, kind error, words ...string) {
	t.Helper()
	_, err := opened(t, url, s).Join(within(t, patient))
	judge(t, err, kind, words...)
}

func judge(t testing.TB, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, expected %v", err, kind)
	}
	for _, w := range append(words, "") {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not mention %q: %v", w, err)
		}
	}
	if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error has several lines or a password: %q", err)
	}
}

// With a user, lock's node, key and record let in exactly that user; nodes above let others add locks.
func TestDigest(t *testing.T) {
	server := testkit.ZooKeeper(t, testkit.ZKOptions{Super: "super:secret"})
	url := "zk://" + server.Addr() + "/team/svc/db"
	p := held(t, opened(t, url, as("alice", "hunter2")))
	r, err := p.Write(within(t, patient), []byte("mine"), lock.Version{})
	want(t, r, err, lock.Committed)
	c := stranger(t, server)
	for _, node := range []string{"/team/svc/db", p.key, "/team/svc/db" + recordSuffix} {
		acl, _, err := c.GetACL(node)
		must(t, err)
		if len(acl) != 1 || acl[0].Scheme != "digest" || acl[0].ID != testkit.ZKDigest("alice:hunter2") || acl[0].Perms != gozk.PermAll {
			t.Errorf("ACL of %s is %+v, expected alice's alone", node, acl)
		}
	}
	refused(t, url, as("alice", "wrong"), lock.ErrCredentials, `user "alice"`, "--lock-password-file")
	refused(t, url, as("bob", "hunter2"), lock.ErrCredentials, `user "bob"`)
	refused(t, url, settings(), lock.ErrCredentials, "none were given", "--lock-user")
	if _, err := opened(t, url, settings()).View(within(t, patient)); !errors.Is(err, lock.ErrCredentials) {
		t.Errorf("View without credentials gave %v, expected ErrCredentials", err)
	}
	held(t, opened(t, "zk://"+server.Addr()+"/team/svc/other", as("bob", "builder")))
	joined(t, opened(t, url, as("alice", "hunter2")))
}

// Credentials are presented on each new connection, before anything else.
func TestDigestAfterReconnect(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	proxy := testkit.NewProxy(t, server.Addr())
	p := held(t, opened(t, "zk://"+proxy.Addr()+freshPath(), as("alice", "hunter2")))
	r, err := p.Write(within(t, patient), []byte("one"), lock.Version{})
	v := want(t, r, err, lock.Committed).Version
	for range 3 {
		proxy.Drop()
		v = writeUntilCommitted(t, p, v)
	}
}

// A record that belongs to somebody else is refused with the owner's name.
func TestRecordOfAnother(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	path := freshPath()
	held(t, opened(t, "zk://"+server.Addr()+path, settings())).over(true)
	_, err := stranger(t, server).Create(path+recordSuffix, nil, 0, gozk.DigestACL(gozk.PermAll, "carol", "x"))
	must(t, err)
	p := joined(t, opened(t, "zk://"+server.Addr()+path, settings()))
	judge(t, p.Await(within(t, patient), ignore), lock.ErrCredentials, path+recordSuffix)
}

// A key of another program ahead of ours is refused, unless foreign peers are allowed.
func TestForeignKeyAhead(t *testing.T) {
	server := testkit.SharedZooKeeper(t)
	path := freshPath()
	url := "zk://" + server.Addr() + path
	held(t, opened(t, url, settings())).over(true)
	c := stranger(t, server)
	testkit.Wait(t, patient, func() (bool, string) { names, _, _ := c.Children(path); return len(names) == 0, "empty queue" })
	for _, acl := range [][]gozk.ACL{settingsACL(), gozk.DigestACL(gozk.PermAll, "carol", "x")} {
		key, err := c.CreateProtectedEphemeralSequential(path+"/lock-", []byte("10.0.0.7"), acl)
		must(t, err)
		kind, words := lock.ErrConfig, []string{filepath.Base(key), "10.0.0.7", "foreign peers"}
		if acl[0].Scheme == "digest" {
			kind, words = lock.ErrCredentials, []string{filepath.Base(key)}
		}
		refused(t, url, settings(), kind, words...)
		s := settings()
		s.Foreign = true
		waiting := joined(t, opened(t, url, s))
		granted := awaiting(t, waiting)
		testkit.Wait(t, patient, func() (bool, string) { return waiting.Ahead().Key == filepath.Base(key), "who is ahead" })
		must(t, c.Delete(key, -1))
		must(t, testkit.Recv(t, patient, "the grant", granted))
		must(t, waiting.Leave(within(t, patient)))
	}
	names, _, err := c.Children(path)
	must(t, err)
	if len(names) != 0 {
		t.Errorf("keys %v are left of contenders that were refused", names)
	}
}

func secure(server *testkit.ZKServer) lock.Settings {
	s := settings()
	s.TLS = lock.TLSFiles{CA: server.CA(), Cert: server.Cert(), Key: server.Key()}
	return s
}

// TLS with a client certificate: its subject owns the nodes; a user named beside it owns them alone.
func TestTLS(t *testing.T) {
	server := testkit.ZooKeeper(t, testkit.ZKOptions{TLS: true, Super: "super:secret"})
	url := "zk://" + server.TLSAddr() + "/svc/tls"
	p := held(t, opened(t, url, secure(server)))
	r, err := p.Write(within(t, patient), []byte("mine"), lock.Version{})
	want(t, r, err, lock.Committed)
	c := stranger(t, server)
	acl, _, err := c.GetACL(p.key)
	must(t, err)
	if len(acl) != 1 || acl[0].Scheme != "x509" || acl[0].ID != "CN=client" {
		t.Errorf("ACL is %+v, expected x509 CN=client alone", acl)
	}
	both := secure(server)
	both.User, both.Password = "alice", "hunter2"
	q := held(t, opened(t, "zk://"+server.TLSAddr()+"/svc2/tls", both))
	acl, _, err = c.GetACL(q.key)
	must(t, err)
	if len(acl) != 1 || acl[0].Scheme != "digest" {
		t.Errorf("ACL is %+v, expected alice's digest alone", acl)
	}

	noCert := settings()
	noCert.TLS.CA = server.CA()
	refused(t, url, noCert, lock.ErrCredentials, "none were given")
	wrongCA := secure(server)
	wrongCA.TLS.CA = testkit.NewPKI(t).CA()
	refused(t, url, wrongCA, lock.ErrConfig, "--lock-ca", "certificate")
	refused(t, "zk://"+server.TLSAddr()+"/svc/tls", settings(), lock.ErrUnreachable, "TLS")
	refused(t, "zk://"+server.Addr()+"/svc/tls", secure(server), lock.ErrUnreachable, "plain port")
	lines := opened(t, url, secure(server)).Diagnose(within(t, patient))
	for _, l := range lines {
		if l.Level != "ok" {
			t.Errorf("doctor over TLS: %+v", l)
		}
	}
}

// A server that wants a client certificate says so in the handshake, and we say it on.
func TestClientCertificateRequired(t *testing.T) {
	server := testkit.ZooKeeper(t, testkit.ZKOptions{TLS: true, ClientAuthNeed: true})
	url := "zk://" + server.TLSAddr() + "/svc/tls"
	held(t, opened(t, url, secure(server)))
	noCert := settings()
	noCert.TLS.CA = server.CA()
	refused(t, url, noCert, lock.ErrCredentials, "--lock-cert")
	s := secure(server)
	other := testkit.NewPKI(t).Issue(t, "mallory")
	s.TLS.Cert, s.TLS.Key = other.Cert, other.Key
	refused(t, url, s, lock.ErrCredentials, "--lock-cert")
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk.pem")
	must(t, os.WriteFile(junk, []byte("junk"), 0o600))
	for name, s := range map[string]lock.Settings{
		"--lock-ca":            {TLS: lock.TLSFiles{CA: filepath.Join(dir, "none")}},
		"PEM certificates":     {TLS: lock.TLSFiles{CA: junk}},
		"expected both":        {TLS: lock.TLSFiles{Cert: junk}},
		"--lock-key":           {TLS: lock.TLSFiles{Cert: junk, Key: junk}},
		"without a colon":      {User: "a:b", Password: "hunter2"},
		"without --lock-user":  {Password: "hunter2"},
		"--lock-password-file": {User: "alice"},
	} {
		u, err := ParseURL("zk://localhost/x")
		must(t, err)
		_, err = Open(context.Background(), u, s)
		judge(t, err, lock.ErrConfig, name)
	}
}

// A service that is not there is told within the bound, with each server's own trouble.
func TestUnreachable(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0") // accepts nothing: the kernel does
	must(t, err)
	defer lis.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	gone := closed.Addr().String()
	must(t, closed.Close())
	s := settings()
	s.Timing.TryTimeout, s.Timing.Tries = 300*time.Millisecond, 5
	start := time.Now()
	refused(t, "zk://"+gone+","+lis.Addr().String()+",no-such-host.invalid/x", s, lock.ErrUnreachable,
		gone, "refused", lis.Addr().String(), "opened no session", "no-such-host.invalid")
	if took, bound := time.Since(start), 1500*time.Millisecond; took > bound+time.Second+testkit.Busy(t) {
		t.Errorf("Join took %v, expected about %v", took, bound)
	}
	lines := opened(t, "zk://"+gone+"/x", s).Diagnose(within(t, patient))
	if last := lines[len(lines)-1]; last.Level != "fail" {
		t.Errorf("doctor of an unreachable service ends %+v, expected fail", last)
	}
}

// A port that is not ZooKeeper's is named as such.
func TestNotZooKeeper(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := lis.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			c.Close()
		}
	}()
	t.Cleanup(func() { lis.Close(); <-done })
	refused(t, "zk://"+lis.Addr().String()+"/x", settings(), lock.ErrUnreachable, "does not speak ZooKeeper")
}
