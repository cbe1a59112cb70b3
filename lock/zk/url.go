package zk

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/interlock-run/interlock/lock"
)

const defaultPort = "2181"

// A host is one server of the URL, its name not yet resolved.
type host struct{ name, port string }

func (h host) String() string { return net.JoinHostPort(h.name, h.port) }

// ParseURL reads zk://h1[:port],h2[:port],…/path. net/url cannot: it takes several ports in one
// authority for an error.
func ParseURL(raw string) (*url.URL, error) {
	rest, ok := strings.CutPrefix(raw, "zk://")
	if !ok {
		return nil, badURL(raw, "expected it to begin with zk://")
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	u, err := url.Parse("zk://host" + path)
	if err != nil {
		var in *url.Error
		if errors.As(err, &in) {
			err = in.Err
		}
		return nil, badURL("zk://…"+path, err.Error())
	}
	u.Host = authority
	_, err = checkURL(u)
	return u, err
}

func badURL(raw, why string) error {
	return fmt.Errorf("%w: lock URL %q: %s (zk://host1[:2181],host2[:2181],…/path)", lock.ErrConfig, raw, why)
}

// checkURL reports everything that is wrong with a URL at once.
func checkURL(u *url.URL) ([]host, error) {
	if u.User != nil || strings.Contains(u.Host, "@") { // and never shown
		return nil, badURL("zk://…@…", "credentials do not belong into the URL: use --lock-user and --lock-password-file")
	}
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, badURL(u.Scheme+"://"+u.Host+u.Path, fmt.Sprintf(format, args...)))
	}
	if u.Scheme != "zk" {
		bad("scheme is %q, expected zk", u.Scheme)
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "" {
		bad("expected nothing after the path")
	}
	var hosts []host
	for _, part := range strings.Split(u.Host, ",") {
		h, err := parseHost(part)
		if err != nil {
			bad("%v", err)
		}
		hosts = append(hosts, h)
	}
	if why := checkPath(u.Path); why != "" {
		bad("%s", why)
	}
	return hosts, errors.Join(errs...)
}

// parseHost reads name, name:port, [v6] or [v6]:port.
func parseHost(s string) (host, error) {
	h := host{name: s, port: defaultPort}
	bare := strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]")
	switch {
	case s == "":
		return h, fmt.Errorf("a host name is empty")
	case bare:
		h.name = s[1 : len(s)-1]
	case strings.Contains(s, ":"):
		name, port, err := net.SplitHostPort(s)
		if err != nil {
			return h, fmt.Errorf("host %q: expected host:port or [address]:port", s)
		}
		h = host{name, port}
	}
	if n, err := strconv.Atoi(h.port); err != nil || n < 1 || n > 65535 {
		return h, fmt.Errorf("host %q: port is %q, expected 1 to 65535", s, h.port)
	}
	if h.name == "" || strings.ContainsFunc(h.name, unicode.IsSpace) {
		return h, fmt.Errorf("host %q: expected a name or an address", s)
	}
	if (bare || strings.Contains(h.name, ":")) && net.ParseIP(h.name) == nil {
		return h, fmt.Errorf("host %q: expected an IPv6 address in the brackets", s)
	}
	return h, nil
}

// checkPath returns why a path cannot name a lock, or nothing.
func checkPath(path string) string {
	if path == "" || path == "/" {
		return "path is empty: the root cannot be a lock, give it a name"
	}
	if path == "/zookeeper" || strings.HasPrefix(path, "/zookeeper/") {
		return "/zookeeper belongs to the service itself: use another path"
	}
	if !utf8.ValidString(path) || strings.ContainsFunc(path, forbidden) {
		return "path has characters that ZooKeeper refuses"
	}
	for _, part := range strings.Split(path[1:], "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Sprintf("path part %q: expected a name between each two slashes and none after the last", part)
		}
	}
	return ""
}

// forbidden are the code points that ZooKeeper's documentation excludes from paths.
func forbidden(r rune) bool {
	return r <= 0x1f || r >= 0x7f && r <= 0x9f || r >= 0xd800 && r <= 0xf8ff || r >= 0xfff0 && r <= 0xffff
}
