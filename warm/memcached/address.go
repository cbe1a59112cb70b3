package memcached

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A Server says where a server is and how to get in. It can be passed to another process.
type Server struct {
	Network  string // tcp or unix
	Address  string // host:port or an absolute path
	TLS      *TLS   // nil: none
	User     string // with Password, for servers with an auth file (-Y)
	Password string
}

// TLS names the PEM files of a connection.
type TLS struct {
	CA   string // whom to trust; empty: the system's
	Cert string // with Key, where the server asks for one
	Key  string
	Name string // of the server in its certificate; empty: the host of its address
}

// config reads the files.
func (s Server) config() (*tls.Config, error) {
	c := &tls.Config{ServerName: s.TLS.Name, MinVersion: tls.VersionTLS12}
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(s.Address) // of a socket none: then Name is needed, and TLS says so
	}
	if s.TLS.CA != "" {
		pem, err := os.ReadFile(s.TLS.CA)
		if err != nil {
			return nil, fmt.Errorf("cannot read the authority of memcached %s: %w", s, err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("authority of memcached %s: %s holds no certificate in PEM form", s, s.TLS.CA)
		}
	}
	if s.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(s.TLS.Cert, s.TLS.Key)
		if err != nil {
			return nil, fmt.Errorf("certificate for memcached %s: %w", s, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// ParseServer reads host:port (or host, then port 11211) or the absolute path of a socket. TLS and
// credentials are set by the caller: neither belongs in what a command line shows.
func ParseServer(text string) (Server, error) {
	if strings.HasPrefix(text, "/") {
		if len(text) > 107 || strings.ContainsRune(text, 0) {
			return Server{}, fmt.Errorf("socket %q: expected at most 107 bytes and no NUL", text)
		}
		return Server{Network: "unix", Address: filepath.Clean(text)}, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.Trim(text, "[]"), "11211"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || host == "" || strings.ContainsAny(host, " /\t\r\n") {
		return Server{}, fmt.Errorf("memcached server %q: expected host:port or the absolute path of its socket", text)
	}
	return Server{Network: "tcp", Address: net.JoinHostPort(host, port)}, nil
}

// String is the address, without credentials.
func (s Server) String() string { return s.Address }

// credentials gives what is sent to authenticate, once it is safe to send.
func (s Server) credentials() (string, error) {
	if s.User == "" || strings.ContainsAny(s.User, " :\r\n") || strings.ContainsAny(s.Password, "\r\n") {
		return "", fmt.Errorf("credentials for %s: expected a user without blanks and colons, and no line breaks", s)
	}
	text := s.User + " " + s.Password
	if len(text) > 512 {
		return "", fmt.Errorf("credentials for %s: expected at most 512 bytes", s)
	}
	return fmt.Sprintf("set auth 0 0 %d\r\n%s\r\n", len(text), text), nil
}
