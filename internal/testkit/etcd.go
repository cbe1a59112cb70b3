package testkit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// EtcdOptions choose how an etcd server runs; the zero value is a plain
// server on loopback.
type EtcdOptions struct {
	TLS            bool          // https with a certificate of the server's own authority
	ClientCertAuth bool          // with TLS: a client certificate is required
	Auth           bool          // authentication on: see EtcdServer.Root and App
	QuotaBytes     int64         // database quota, 128 MiB when 0
	AuthTokenTTL   time.Duration // whole seconds; etcd's default when 0
	Heartbeat      time.Duration // 50 ms when 0
	Election       time.Duration // 500 ms when 0; 1.5 times this is the shortest lease
	Extra          []string      // further arguments
}

// User is a name and password of etcd's own user list.
type User struct{ Name, Password string }

// EtcdServer is one real etcd. With Auth, Root may do anything and App has
// read and write below /interlock/; with ClientCertAuth their certificates
// carry the same names.
type EtcdServer struct {
	*daemon
	Root, App User

	opts    EtcdOptions
	dir     string
	client  int
	peer    int
	metrics int
	pki     *PKI
	root    Pair
	app     Pair
}

// Etcd starts a server for this test and stops it afterwards. Without etcd
// the test is skipped.
func Etcd(t testing.TB, o EtcdOptions) *EtcdServer {
	t.Helper()
	skipWithoutEtcd(t)
	s, err := startEtcd(t.TempDir(), o)
	must(t, err)
	t.Cleanup(func() { s.Kill(t) })
	recordRun(t, "etcd", s.Version(t))
	return s
}

// Endpoint is scheme://host:port, Addr the same without the scheme.
func (s *EtcdServer) Endpoint() string { return s.scheme() + "://" + s.Addr() }

// Addr is host:port of the client port.
func (s *EtcdServer) Addr() string { return loopback(s.client) }

// PKI is the authority that signed the server's certificate; nil without TLS.
func (s *EtcdServer) PKI() *PKI { return s.pki }

// CA is what a client must trust.
func (s *EtcdServer) CA() string { return s.pki.CA() }

// Cert and Key are those of CN=app.
func (s *EtcdServer) Cert() string { return s.app.Cert }

// Key belongs to Cert.
func (s *EtcdServer) Key() string { return s.app.Key }

func (s *EtcdServer) scheme() string {
	if s.opts.TLS {
		return "https"
	}
	return "http"
}

func startEtcd(dir string, o EtcdOptions) (*EtcdServer, error) {
	var err error
	for try := range 3 {
		var s *EtcdServer
		s, err = newEtcd(filepath.Join(dir, fmt.Sprintf("etcd%d", try)), o)
		if err != nil {
			return nil, err
		}
		if err = s.start(readyLimit); err == nil {
			return s, s.enableAuth()
		}
		if !errors.Is(err, errExited) {
			break
		}
	}
	return nil, err
}

func newEtcd(dir string, o EtcdOptions) (*EtcdServer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	s := &EtcdServer{opts: o, dir: dir, client: ports[0], peer: ports[1], metrics: ports[2],
		Root: User{"root", "rootpw"}, App: User{"app", "apppw"}}
	if err := s.certificates(); err != nil {
		return nil, err
	}
	s.daemon = &daemon{name: "etcd", args: s.command(), log: filepath.Join(dir, "log"), ready: s.healthy}
	return s, nil
}

func (s *EtcdServer) certificates() error {
	if !s.opts.TLS {
		return nil
	}
	var err error
	if s.pki, err = newPKI(s.dir); err != nil {
		return err
	}
	if _, err = s.pki.issue("server"); err != nil {
		return err
	}
	if s.root, err = s.pki.issue(s.Root.Name); err != nil {
		return err
	}
	s.app, err = s.pki.issue(s.App.Name)
	return err
}
