package zk

import (
	"context"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/lock"
)

func TestParseURL(t *testing.T) {
	for raw, want := range map[string][]host{
		"zk://h1,h2:2182,h3/a/b":         {{"h1", "2181"}, {"h2", "2182"}, {"h3", "2181"}},
		"zk://h1:1,h2:2/a.b":             {{"h1", "1"}, {"h2", "2"}},
		"zk://[::1],[fe80::2]:99/x":      {{"::1", "2181"}, {"fe80::2", "99"}},
		"zk://10.0.0.1/with%20space":     {{"10.0.0.1", "2181"}},
		"zk://zk-0.zk.svc.local:65535/s": {{"zk-0.zk.svc.local", "65535"}},
	} {
		u, err := ParseURL(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		got, err := checkURL(u)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: hosts %v (%v), expected %v", raw, got, err, want)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	for raw, word := range map[string]string{
		"etcd://h/x":               "zk://",
		"zk://h":                   "root cannot be a lock",
		"zk://h/":                  "root cannot be a lock",
		"zk:///x":                  "host name is empty",
		"zk://h1,,h2/x":            "host name is empty",
		"zk://h:0/x":               "1 to 65535",
		"zk://h:65536/x":           "1 to 65535",
		"zk://h:zk/x":              "1 to 65535",
		"zk://h:1:2/x":             "host:port",
		"zk://[nope]/x":            "IPv6",
		"zk://fe80::1/x":           "host:port",
		"zk://a b/x":               "name or an address",
		"zk://u:hunter2@h/x":       "credentials do not belong",
		"zk://h/x?y=1":             "nothing after the path",
		"zk://h/x#y":               "nothing after the path",
		"zk://h/x/":                "path part",
		"zk://h//x":                "path part",
		"zk://h/a/../x":            "path part",
		"zk://h/zookeeper/x":       "belongs to the service",
		"zk://h/a%00b":             "characters",
		"zk://h/%zz":               "invalid URL escape",
		"zk://h1:x,h2:y/zookeeper": "belongs to the service",
	} {
		_, err := ParseURL(raw)
		if err == nil {
			t.Errorf("%s is accepted", raw)
			continue
		}
		judge(t, firstLine(err), lock.ErrConfig, word)
	}
}

// firstLine checks that each of several errors is one line, and joins them for judge.
func firstLine(err error) error {
	var all several
	for _, e := range strings.Split(err.Error(), "\n") {
		all = append(all, badURL("x", e))
	}
	return all
}

// A URL that was built by hand is checked by Open as well.
func TestOpenChecksURL(t *testing.T) {
	for _, u := range []*url.URL{{Scheme: "zk", Host: "h", Path: ""}, {Scheme: "http", Host: "h", Path: "/x"},
		{Scheme: "zk", Host: "h", Path: "/x", User: url.User("a")}, {Scheme: "zk", Host: "a:hunter2@h", Path: "/x"}} {
		_, err := Open(context.Background(), u, settings())
		judge(t, err, lock.ErrConfig)
	}
}
