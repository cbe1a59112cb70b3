package testkit

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// ZKOptions choose how a ZooKeeper server runs; the zero value is a plain
// server on loopback.
type ZKOptions struct {
	TLS            bool          // a second, TLS port; client certificates are wanted
	ClientAuthNeed bool          // with TLS: client certificates are required
	Super          string        // "user:password" of the superuser
	Tick           time.Duration // 100 ms when 0; sessions time out after 2 ticks at least
	Config         []string      // further lines of zoo.cfg
	JVM            []string      // further JVM flags
}

// ZKServer is one real ZooKeeper 3.8.
type ZKServer struct {
	*daemon
	opts    ZKOptions
	dir     string
	port    int
	tlsPort int
	pki     *PKI
	client  Pair
}

// ZooKeeper starts a server for this test and stops it afterwards. Without
// Java or the jar the test is skipped.
func ZooKeeper(t testing.TB, o ZKOptions) *ZKServer {
	t.Helper()
	skipWithoutZooKeeper(t)
	s, err := startZooKeeper(t.TempDir(), o)
	must(t, err)
	t.Cleanup(func() { s.Kill(t) })
	recordRun(t, "zookeeper", s.Version(t))
	return s
}

// Addr is host:port of the plain port.
func (s *ZKServer) Addr() string { return loopback(s.port) }

// TLSAddr is host:port of the TLS port.
func (s *ZKServer) TLSAddr() string { return loopback(s.tlsPort) }

// PKI is the authority that signed the server's certificate; nil without TLS.
func (s *ZKServer) PKI() *PKI { return s.pki }

// CA, Cert and Key are the paths a client needs for the TLS port.
func (s *ZKServer) CA() string { return s.pki.CA() }

// Cert is the certificate of CN=client.
func (s *ZKServer) Cert() string { return s.client.Cert }

// Key belongs to Cert.
func (s *ZKServer) Key() string { return s.client.Key }

// FourLetter sends one of ZooKeeper's four-letter words ("mntr", "cons",
// "wchp", "dump") to the plain port.
func (s *ZKServer) FourLetter(t testing.TB, word string) string {
	t.Helper()
	out, err := fourLetter(s.Addr(), word)
	must(t, err)
	return out
}

// Version is what the server says of itself.
func (s *ZKServer) Version(t testing.TB) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^Zookeeper version: ([^-,\s]+)`).FindStringSubmatch(s.FourLetter(t, "srvr"))
	if m == nil {
		t.Fatalf("ZooKeeper at %s does not tell its version", s.Addr())
	}
	return m[1]
}

// startZooKeeper tries anew with other ports when one was taken between its
// choice and the server's start.
func startZooKeeper(dir string, o ZKOptions) (*ZKServer, error) {
	var err error
	for try := range 3 {
		var s *ZKServer
		s, err = newZooKeeper(filepath.Join(dir, fmt.Sprintf("zk%d", try)), o)
		if err != nil {
			return nil, err
		}
		if err = s.start(readyLimit); err == nil {
			return s, nil
		}
		if !errors.Is(err, errExited) {
			break
		}
	}
	return nil, err
}

func newZooKeeper(dir string, o ZKOptions) (*ZKServer, error) {
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	s := &ZKServer{opts: o, dir: dir, port: ports[0], tlsPort: ports[1]}
	if err := s.certificates(); err != nil {
		return nil, err
	}
	cfg := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(cfg, []byte(s.config()), 0o644); err != nil {
		return nil, err
	}
	s.daemon = &daemon{name: "ZooKeeper", args: s.command(cfg), log: filepath.Join(dir, "log"), ready: s.answers}
	return s, nil
}

func (s *ZKServer) certificates() error {
	if !s.opts.TLS {
		return nil
	}
	var err error
	if s.pki, err = newPKI(s.dir); err != nil {
		return err
	}
	server, err := s.pki.issue("server")
	if err != nil {
		return err
	}
	if s.client, err = s.pki.issue("client"); err != nil {
		return err
	}
	return server.bundle(filepath.Join(s.dir, "server.pem"))
}

// answers asks both ports: the plain one is up before the TLS one.
func (s *ZKServer) answers() error {
	out, err := fourLetter(s.Addr(), "srvr")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(out, "Zookeeper version") {
		return fmt.Errorf("not serving yet: %q", out)
	}
	if !s.opts.TLS {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(s.client.Cert, s.client.Key)
	if err != nil {
		return err
	}
	// Only whether TLS is up; that clients check the name is their own test.
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 2 * time.Second}, "tcp", s.TLSAddr(),
		&tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	return conn.Close()
}

func fourLetter(addr, word string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, 2*time.Second)
	if err != nil {
		return "", fmt.Errorf("ZooKeeper %s: %w", word, err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, word); err != nil {
		return "", fmt.Errorf("ZooKeeper %s: %w", word, err)
	}
	out, err := io.ReadAll(conn)
	if err != nil {
		return "", fmt.Errorf("ZooKeeper %s: %w", word, err)
	}
	return string(out), nil
}
