package config

import (
	"net"
	"slices"
	"strconv"
	"strings"
)

const urlShape = "zk://HOST[:PORT],…/PATH, etcd://HOST[:PORT],…/NAME or file:///PATH"

// lockURL checks the form of a lock's URL. It does not use net/url, which knows one host only.
func lockURL(v any) string {
	s, _ := v.(string)
	if s == "" {
		return ""
	}
	scheme, rest, found := strings.Cut(s, "://")
	if !found || !slices.Contains([]string{"zk", "etcd", "file"}, scheme) {
		return urlShape
	}
	hosts, name, _ := strings.Cut(rest, "/")
	if strings.ContainsAny(s, "?#") || oneLine(s) != "" || strings.Contains(s, " ") {
		return urlShape + ", without query, fragment or spaces"
	}
	if scheme == "file" {
		return fileURL(hosts, name)
	}
	if scheme == "etcd" {
		name = strings.TrimPrefix(name, "/") // etcd://host//a/b: etcd's keys may begin with a slash
	}
	return serviceURL(hosts, name)
}

// fileURL wants an absolute path below /.
func fileURL(hosts, name string) string {
	if hosts != "" || dataDir("/"+name) != "" || name == "" {
		return "file:///PATH: no host, and the absolute path of a file without .. or doubled slashes"
	}
	return ""
}

func serviceURL(hosts, name string) string {
	for _, h := range strings.Split(hosts, ",") {
		if !hostPort(h) {
			return "HOST or HOST:PORT (IPv6 in brackets), separated by commas, before the path"
		}
	}
	for _, segment := range strings.Split(name, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return "a path after the hosts, without empty parts, . or .."
		}
	}
	if strings.HasSuffix(name, ".interlock") {
		return "a name that does not end in .interlock: such are the state records of other locks"
	}
	return ""
}

func hostPort(s string) bool {
	host, port := s, "1"
	if h, p, err := net.SplitHostPort(s); err == nil {
		host, port = h, p
	} else if inner, is := strings.CutPrefix(s, "["); is {
		host = strings.TrimSuffix(inner, "]")
		return net.ParseIP(host) != nil && host != inner
	}
	if strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return false
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(s, "[") {
		return false
	}
	return host != "" && !strings.ContainsAny(host, "@[] ") && port != "0" && portNumber(port)
}

func portNumber(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == s
}

// withoutPassword hides what stands between :// and @, so that a password in a URL never gets into a log.
func withoutPassword(s string) string {
	scheme, rest, found := strings.Cut(s, "://")
	at := strings.LastIndex(rest, "@")
	if !found || at < 0 {
		return s
	}
	return scheme + "://…" + rest[at:]
}
