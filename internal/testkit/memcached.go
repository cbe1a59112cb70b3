package testkit

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// MemcachedOptions choose how a memcached runs; the zero value is a plain server on loopback.
type MemcachedOptions struct {
	Megabytes int      // -m; 64 when 0
	Unix      bool     // a socket in place of a port
	TLS       bool     // with a certificate of the server's own authority
	User      User     // ASCII authentication (-Y) with this one user
	Extra     []string // further arguments
}

// MemcachedServer is one real memcached.
type MemcachedServer struct {
	*daemon
	Version string

	address string
	pki     *PKI
}

// Memcached starts a server for this test and stops it afterwards. Skipped without it.
func Memcached(t testing.TB, o MemcachedOptions) *MemcachedServer {
	t.Helper()
	if _, err := exec.LookPath("memcached"); err != nil {
		Skip(t, "memcached", fmt.Sprintf("memcached is not there (Debian: memcached): %v", err))
	}
	out, err := exec.Command("memcached", "--version").Output()
	must(t, err)
	dir, err := os.MkdirTemp("", "m") // short: the path of a socket is limited
	must(t, err)
	var s *MemcachedServer
	for range 5 { // a port may be taken in between
		if s, err = startMemcached(dir, o); !errors.Is(err, errExited) {
			break
		}
	}
	must(t, err)
	t.Cleanup(func() {
		s.Kill(t)
		must(t, os.RemoveAll(dir))
	})
	s.Version = strings.TrimPrefix(strings.TrimSpace(string(out)), "memcached ")
	recordRun(t, "memcached", s.Version)
	return s
}

// Addr is host:port or the path of the socket.
func (s *MemcachedServer) Addr() string { return s.address }

// CA is what a client of a TLS server must trust.
func (s *MemcachedServer) CA() string { return s.pki.CA() }

func (s *MemcachedServer) network() string {
	if strings.HasPrefix(s.address, "/") {
		return "unix"
	}
	return "tcp"
}

func startMemcached(dir string, o MemcachedOptions) (*MemcachedServer, error) {
	s := &MemcachedServer{}
	args := []string{"memcached", "-U", "0", "-m", strconv.Itoa(max(o.Megabytes, 1))}
	if o.Megabytes == 0 {
		args[4] = "64"
	}
	if os.Geteuid() == 0 {
		args = append(args, "-u", "root") // it must read what the test alone may
	}
	more, err := s.listen(dir, o)
	if err != nil {
		return nil, err
	}
	args = append(append(args, more...), o.Extra...)
	s.daemon = &daemon{name: "memcached", args: args, log: filepath.Join(dir, "log"), ready: s.accepts}
	return s, s.start(readyLimit)
}

// listen gives the arguments that say where and for whom.
func (s *MemcachedServer) listen(dir string, o MemcachedOptions) (args []string, err error) {
	if o.User.Name != "" {
		file := filepath.Join(dir, "users")
		if err := os.WriteFile(file, []byte(o.User.Name+":"+o.User.Password+"\n"), 0o600); err != nil {
			return nil, err
		}
		args = append(args, "-Y", file)
	}
	if o.TLS {
		if s.pki, err = newPKI(dir); err != nil {
			return nil, err
		}
		pair, err := s.pki.issue("memcached")
		if err != nil {
			return nil, err
		}
		args = append(args, "-Z", "-o", "ssl_chain_cert="+pair.Cert+",ssl_key="+pair.Key)
	}
	if o.Unix {
		s.address = filepath.Join(dir, "sock")
		return append(args, "-s", s.address, "-a", "700"), nil
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	s.address = loopback(ports[0])
	return append(args, "-l", "127.0.0.1", "-p", strconv.Itoa(ports[0])), nil
}

// accepts asks no more than that it takes the connection: what it says is for the test.
func (s *MemcachedServer) accepts() error {
	c, err := net.DialTimeout(s.network(), s.address, time.Second)
	if err != nil {
		return err
	}
	return c.Close()
}

// Ask sends raw text on a new plain connection and gives the lines of the answer up to one that begins with
// last, which must come within 20 s.
func (s *MemcachedServer) Ask(t testing.TB, text, last string) []string {
	t.Helper()
	c, err := net.DialTimeout(s.network(), s.address, 5*time.Second)
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = c.Write([]byte(text))
	must(t, err)
	var lines []string
	for r := bufio.NewScanner(c); r.Scan(); {
		lines = append(lines, strings.TrimRight(r.Text(), "\r"))
		if strings.HasPrefix(r.Text(), last) {
			return lines
		}
	}
	t.Fatalf("memcached %s answered %.300q to %.100q: expected a line %q", s.address, lines, text, last)
	return nil
}
