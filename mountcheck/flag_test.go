package mountcheck

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseFlag(t *testing.T) {
	for in, want := range map[string]Expect{
		"/data":           {Path: "/data"},
		"/data/":          {Path: "/data"},
		"/my data":        {Path: "/my data"},
		`/a\,b,fstype=xf`: {Path: "/a,b", FSType: "xf"},
		"/d,fstype=nfs4,source=nas:/exp/*,opts=hard+rw+!soft,volume=db-1,fail_after=10s": {Path: "/d", FSType: "nfs4", Source: "nas:/exp/*",
			Require: []string{"hard", "rw"}, Forbid: []string{"soft"}, Volume: "db-1", FailAfter: 10 * time.Second},
		`/d,source=m1\,m2:/`: {Path: "/d", Source: "m1,m2:/"},
		"/d,opts=vers=4.2":   {Path: "/d", Require: []string{"vers=4.2"}},
	} {
		got, err := ParseFlag(in)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", in, got, err)
		}
	}
}

func TestParseFlagNamesWhatIsWrong(t *testing.T) {
	for in, part := range map[string]string{
		"":                             "empty",
		"data":                         `"data" is relative`,
		",fstype=nfs":                  "empty",
		"/d,fs=nfs":                    `unknown key "fs"`,
		"/d,fstype":                    `"fstype" has no value`,
		"/d,fstype=":                   `"fstype=" has no value`,
		"/d,":                          "has no value",
		"/d,volume=a,volume=b":         "volume is given twice",
		"/d,opts=a++b":                 "empty option",
		"/d,opts=!":                    "empty option",
		"/d,opts=ro+rw":                "ro and rw",
		"/d,opts=a+!a":                 "both required and forbidden",
		"/d,volume=a b":                `volume "a b"`,
		"/d,volume=" + manyBytes(129):  "expected 1 to 128",
		"/d,fail_after=5":              "duration",
		"/d,fail_after=-5s":            "negative",
		"/d,source=mon1:6789,mon2:789": `"mon2:789" has no value`,
	} {
		_, err := ParseFlag(in)
		if err == nil || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40s: got %v, want %q", in, err, part)
		}
	}
}

func manyBytes(n int) string { return strings.Repeat("x", n) }

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"nas:/exp", "nas:/exp", true}, {"nas:/exp", "nas:/exp2", false}, {"nas:*", "nas:/a/b", true}, {"*", "", true},
		{"*:/db", "10.0.0.1:/db", true}, {"*:/db", "10.0.0.1:/db/x", false}, {"a?c", "abc", true}, {"a?c", "ac", false},
		{`a\*c`, "a*c", true}, {`a\*c`, "abc", false}, {"*a*b*", "xxaxxbxx", true}, {"*a*b", "xxaxxbxxbx", false},
		{"", "", true}, {"", "a", false}, {"a", "", false}, {"**", "abc", true}, {"mfs#*", "mfs#m:9421", true},
	} {
		if got := glob(c.pattern, c.s); got != c.want {
			t.Errorf("glob(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

func TestNetwork(t *testing.T) {
	for _, c := range []struct {
		fstype, source string
		want           bool
	}{
		{"nfs4", "nas:/x", true}, {"fuse", "mfs#m:9421", true}, {"fuse.glusterfs", "h:v", true}, {"ext4", "/dev/nbd0", true},
		{"xfs", "/dev/rbd/p/i", true}, {"ext4", "/dev/sda1", false}, {"tmpfs", "tmpfs", false}, {"overlay", "overlay", false},
		{"fuse.lxcfs", "lxcfs", false}, {"fuse.unheard-of", "x", true}, {"fuseblk", "/dev/sda1", false},
	} {
		if got := Network(c.fstype, c.source, "rw"); got != c.want {
			t.Errorf("Network(%s, %s) = %v", c.fstype, c.source, got)
		}
	}
}
