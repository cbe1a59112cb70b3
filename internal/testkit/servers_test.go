package testkit

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"
	"time"
)

func TestZooKeeperSurvivesPauseKillRestart(t *testing.T) {
	s := ZooKeeper(t, ZKOptions{TLS: true, ClientAuthNeed: true, Super: "super:secret"})
	if !strings.HasPrefix(s.Version(t), "3.8") {
		t.Errorf("version %q, want 3.8.x", s.Version(t))
	}
	s.Pause(t)
	Wait(t, 5*time.Second, func() (bool, string) {
		p, _ := readTask(s.Pid())
		return p.state == "T", p.String()
	})
	s.Resume(t)
	if out := s.FourLetter(t, "ruok"); out != "imok" {
		t.Errorf("ruok answered %q", out)
	}
	old := s.Pid()
	s.Kill(t)
	if !TreeGone(old) {
		t.Errorf("pid %d runs after Kill", old)
	}
	s.Start(t)
	s.Restart(t)
}

func TestZooKeeperRefusesWrongClientCertificate(t *testing.T) {
	s := ZooKeeper(t, ZKOptions{TLS: true, ClientAuthNeed: true})
	stranger := NewPKI(t).Issue(t, "client")
	for name, p := range map[string]Pair{"own": s.client, "stranger": stranger} {
		err := handshake(t, s, p)
		for range 5 { // a server that has just begun may close a connection before it speaks
			if name != "own" || err == nil {
				break
			}
			<-time.After(500 * time.Millisecond)
			err = handshake(t, s, p)
		}
		if (err == nil) != (name == "own") {
			t.Errorf("%s certificate: %v", name, err)
		}
	}
}

// handshake reads once: TLS 1.3 servers refuse a certificate only after the
// client believes the handshake done.
func handshake(t *testing.T, s *ZKServer, p Pair) error {
	pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	must(t, err)
	pem, err := os.ReadFile(s.CA())
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	c, err := tls.Dial("tcp", s.TLSAddr(), &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}})
	if err != nil {
		return err
	}
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(5*time.Second)))
	if _, err := c.Write([]byte("ruok")); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 4))
	return err
}

func TestEtcdAuthTLSRestart(t *testing.T) {
	s := Etcd(t, EtcdOptions{TLS: true, ClientCertAuth: true, Auth: true, AuthTokenTTL: 2 * time.Second, QuotaBytes: 16 << 20})
	if _, err := s.Ctl("put", "/interlock/a", "1"); err != nil {
		t.Fatal(err)
	}
	if q := s.Metric(t, "etcd_server_quota_backend_bytes"); q != 16<<20 {
		t.Errorf("quota %v", q)
	}
	s.Kill(t)
	s.Start(t)
	s.Restart(t)
	out, err := s.Ctl("get", "--print-value-only", "/interlock/a")
	if err != nil || strings.TrimSpace(out) != "1" {
		t.Errorf("after restart: %q, %v", out, err)
	}
	if out, err := s.Ctl("user", "get", "app"); err != nil || !strings.Contains(out, "app") {
		t.Errorf("user app: %q, %v", out, err)
	}
}

func TestSharedServersAreOne(t *testing.T) {
	if a, b := SharedEtcd(t), SharedEtcd(t); a != b {
		t.Error("two shared etcd servers")
	}
	if a, b := SharedZooKeeper(t), SharedZooKeeper(t); a != b {
		t.Error("two shared ZooKeeper servers")
	}
	if _, err := SharedEtcd(t).Ctl("put", "x", "y"); err != nil {
		t.Error(err)
	}
}
