package etcd

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/interlock-run/interlock/lock"
)

const (
	scheme      = "etcd"
	defaultPort = "2379"
	shape       = "expected etcd://HOST[:PORT],…/NAME"
)

// parseURL gives the servers as host:port, in the order given, and the name of the lock.
func parseURL(u *url.URL) (hosts []string, name string, err error) {
	switch {
	case u == nil || u.Scheme != scheme:
		return nil, "", badURL("it is no etcd:// address; %s", shape)
	case u.User != nil: // never print it
		return nil, "", badURL("it has a user or password in it; use --lock-user and --lock-password-file")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, "", badURL("%s: it has a query or fragment; %s", u, shape)
	}
	for h := range strings.SplitSeq(u.Host, ",") {
		addr, err := hostPort(h)
		if err != nil {
			return nil, "", badURL("%s: server %q: %w", u, h, err)
		}
		hosts = append(hosts, addr)
	}
	name = strings.TrimPrefix(u.Path, "/")
	if err := checkName(name); err != nil {
		return nil, "", badURL("%s: %w", u, err)
	}
	return hosts, name, nil
}

func badURL(format string, args ...any) error {
	return fmt.Errorf("%w: lock address: %w", lock.ErrConfig, fmt.Errorf(format, args...))
}

// hostPort accepts host, host:port, and IPv6 in brackets.
func hostPort(h string) (string, error) {
	host, port, err := net.SplitHostPort(h)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(h, "["), "]"), defaultPort
		bracketed := h == "["+host+"]"
		if strings.Contains(host, ":") && (!bracketed || net.ParseIP(host) == nil) {
			return "", fmt.Errorf("expected HOST or HOST:PORT, IPv6 in brackets")
		}
	}
	if host == "" || strings.ContainsAny(host, " []@/") {
		return "", fmt.Errorf("expected HOST or HOST:PORT")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("port %q: expected a number from 1 to 65535", port)
	}
	return net.JoinHostPort(host, port), nil
}

// checkName keeps apart what etcd would keep apart but people would not.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the lock has no name; %s", shape)
	case strings.HasSuffix(name, "/"):
		return fmt.Errorf("name %q ends in a slash; leave it out", name)
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }):
		return fmt.Errorf("name %q: control characters and broken UTF-8 are not allowed", name)
	}
	return nil
}

func checkSettings(s lock.Settings) error {
	switch {
	case s.User == "" && s.Password != "":
		return fmt.Errorf("%w: etcd: there is a password but no user; set --lock-user", lock.ErrConfig)
	case s.User != "" && s.Password == "":
		return fmt.Errorf("%w: etcd: user %q has no password; set --lock-password-file, or leave the user out where the certificate names it", lock.ErrConfig, s.User)
	}
	return nil
}
