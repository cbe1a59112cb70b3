package memcached

import (
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// A Server says where a server is and how to get in.
type Server struct {
	Network  string      // tcp or unix
	Address  string      // host:port or an absolute path
	TLS      *tls.Config // nil: none
	User     string      // with Password, for servers with an auth file (-Y)
	Password string
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
