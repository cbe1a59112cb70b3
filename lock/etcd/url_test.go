package etcd

import (
	"errors"
	"net/url"
	"slices"
	"testing"

	"github.com/interlock-run/interlock/lock"
)

func TestParseURL(t *testing.T) {
	for _, c := range []struct {
		host, path string
		hosts      []string
		name       string
	}{
		{"h1", "/n", []string{"h1:2379"}, "n"},
		{"h1:1,h2,h3:65535", "/a/b", []string{"h1:1", "h2:2379", "h3:65535"}, "a/b"},
		{"[::1],[::1]:7", "//a", []string{"[::1]:2379", "[::1]:7"}, "/a"},
	} {
		hosts, name, err := parseURL(&url.URL{Scheme: "etcd", Host: c.host, Path: c.path})
		if err != nil || !slices.Equal(hosts, c.hosts) || name != c.name {
			t.Errorf("%s%s: %v %q %v, expected %v %q", c.host, c.path, hosts, name, err, c.hosts, c.name)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	secret := url.UserPassword("u", "sesame")
	for _, u := range []*url.URL{
		nil,
		{Scheme: "zk", Host: "h", Path: "/n"},
		{Scheme: "etcd", Path: "/n"},
		{Scheme: "etcd", Host: "h,", Path: "/n"},
		{Scheme: "etcd", Host: "h:0", Path: "/n"},
		{Scheme: "etcd", Host: "h:65536", Path: "/n"},
		{Scheme: "etcd", Host: "h:x", Path: "/n"},
		{Scheme: "etcd", Host: "::1", Path: "/n"},
		{Scheme: "etcd", Host: "[x]y", Path: "/n"},
		{Scheme: "etcd", Host: "h", Path: ""},
		{Scheme: "etcd", Host: "h", Path: "/"},
		{Scheme: "etcd", Host: "h", Path: "/n/"},
		{Scheme: "etcd", Host: "h", Path: "/n\x00"},
		{Scheme: "etcd", Host: "h", Path: "/n\xff"},
		{Scheme: "etcd", Host: "h", Path: "/n", RawQuery: "x=1"},
		{Scheme: "etcd", Host: "h", Path: "/n", Fragment: "x"},
		{Scheme: "etcd", Host: "h", Path: "/n", User: secret},
	} {
		_, err := Open(bounded(t), u, lock.Settings{})
		if !errors.Is(err, lock.ErrConfig) {
			t.Errorf("%v: %v, expected ErrConfig", u, err)
			continue
		}
		if contains(err.Error(), "sesame") {
			t.Errorf("the password is in the message: %v", err)
		}
	}
}

func TestSettingsRefused(t *testing.T) {
	u := &url.URL{Scheme: "etcd", Host: "h", Path: "/n"}
	for name, s := range map[string]lock.Settings{
		"password alone":    {Password: "x"},
		"user alone":        {User: "x"},
		"no authority":      {TLS: lock.TLSFiles{CA: "/nonexistent"}},
		"no PEM":            {TLS: lock.TLSFiles{CA: "/dev/null"}},
		"key without cert":  {TLS: lock.TLSFiles{Key: "/nonexistent"}},
		"unreadable client": {TLS: lock.TLSFiles{Cert: "/nonexistent", Key: "/nonexistent"}},
	} {
		if _, err := Open(bounded(t), u, s); !errors.Is(err, lock.ErrConfig) {
			t.Errorf("%s: %v, expected ErrConfig", name, err)
		}
	}
}
