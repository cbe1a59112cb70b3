package mountcheck

import (
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
)

func parse(t *testing.T, text string) *table {
	t.Helper()
	infos, err := mountinfo.GetMountsFromReader(strings.NewReader(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return newTable(infos)
}

const sample = `22 27 0:21 / /proc rw - proc proc rw
27 1 8:1 / / rw - ext4 /dev/sda1 rw
30 27 0:40 / /mnt/nas rw - nfs4 nas:/exp rw,hard
31 30 0:41 / /mnt/nas/sub rw - tmpfs inner rw
32 27 0:42 / /mnt/with\040space rw - tmpfs sp\040ace rw
33 27 0:43 / /srv rw - tmpfs lower rw
34 33 0:44 / /srv/deep rw - tmpfs hidden rw
35 33 0:45 / /srv rw - tmpfs upper rw
36 27 0:46 / /mfs rw - fuse mfs\043m:9421 rw
37 27 8:1 /var/x /bound rw - ext4 /dev/sda1 rw
`

func TestHolder(t *testing.T) {
	tb := parse(t, sample)
	for path, source := range map[string]string{
		"/": "/dev/sda1", "/mnt": "/dev/sda1", "/mnt/nas": "nas:/exp", "/mnt/nasty": "/dev/sda1", "/mnt/nas/a/b": "nas:/exp",
		"/mnt/nas/sub/x": "inner", "/mnt/nas/subway": "nas:/exp", "/mnt/with space/x": "sp ace", "/srv": "upper",
		"/srv/deep": "upper", "/mfs": "mfs#m:9421", "/bound/f": "/dev/sda1",
	} {
		if got := tb.holder(path); got.Source != source {
			t.Errorf("%s is held by %s, want %s", path, got, source)
		}
	}
	if m := tb.holder("/bound/f"); m.Root != "/var/x" || m.Point != "/bound" {
		t.Errorf("bind mount: %+v", m)
	}
}

func TestHolderInAChroot(t *testing.T) {
	tb := parse(t, "50 27 0:21 / /proc rw - proc proc rw\n51 27 0:40 / /data rw - tmpfs data rw\n")
	if m := tb.holder("/data/x"); m.Source != "data" {
		t.Errorf("got %+v", m)
	}
	if m := tb.holder("/etc"); m.Point != "/" || m.ID != 27 {
		t.Errorf("got %+v", m)
	}
}

func TestQuietPaths(t *testing.T) {
	tb := parse(t, sample)
	if !tb.quiet(tb.holder("/mnt/nas")) {
		t.Error("/mnt/nas lies on the root filesystem")
	}
	if tb.quiet(tb.holder("/mnt/nas/sub")) {
		t.Error("the way to /mnt/nas/sub crosses an NFS mount")
	}
}

func TestJudge(t *testing.T) {
	nas := Mount{ID: 30, Major: 0, Minor: 40, Root: "/", Point: "/mnt/nas", FSType: "nfs4", Source: "nas:/exp", Options: "rw,noatime", Super: "rw,hard,local_lock=none"}
	with := func(change func(*Mount)) Mount { m := nas; change(&m); return m }
	for name, c := range map[string]struct {
		e    Expect
		base Mount
		now  Mount
		want Kind
	}{
		"right":           {Expect{FSType: "nfs", Source: "nas:*", Require: []string{"hard", "rw"}, Forbid: []string{"soft"}}, nas, nas, OK},
		"value":           {Expect{Forbid: []string{"local_lock=all"}}, Mount{}, nas, OK},
		"key":             {Expect{Require: []string{"local_lock"}}, Mount{}, nas, OK},
		"type":            {Expect{FSType: "xfs"}, Mount{}, nas, Wrong},
		"source":          {Expect{Source: "other:*"}, Mount{}, nas, Wrong},
		"lacks":           {Expect{Require: []string{"noexec"}}, Mount{}, nas, Wrong},
		"forbidden":       {Expect{Forbid: []string{"local_lock"}}, Mount{}, nas, Wrong},
		"ro mount":        {Expect{}, Mount{}, with(func(m *Mount) { m.Options = "ro" }), ReadOnly},
		"ro super":        {Expect{}, Mount{}, with(func(m *Mount) { m.Super = "ro" }), ReadOnly},
		"emergency":       {Expect{}, Mount{}, with(func(m *Mount) { m.Super = "rw,emergency_ro" }), ReadOnly},
		"shutdown":        {Expect{}, Mount{}, with(func(m *Mount) { m.Super = "rw,shutdown" }), Erroring},
		"ro wanted":       {Expect{Require: []string{"ro"}}, Mount{}, with(func(m *Mount) { m.Options = "ro" }), OK},
		"ro wanted, rw":   {Expect{Require: []string{"ro"}}, Mount{}, nas, Wrong},
		"autofs only":     {Expect{}, Mount{}, with(func(m *Mount) { m.FSType = "autofs" }), Absent},
		"other id":        {Expect{}, nas, with(func(m *Mount) { m.ID = 31 }), Replaced},
		"other device":    {Expect{}, nas, with(func(m *Mount) { m.Minor = 41 }), Replaced},
		"other source":    {Expect{}, nas, with(func(m *Mount) { m.Source = "nas:/exp2" }), Replaced},
		"other root":      {Expect{}, nas, with(func(m *Mount) { m.Root = "/sub" }), Replaced},
		"other unique id": {Expect{}, with(func(m *Mount) { m.Unique = 1 }), with(func(m *Mount) { m.Unique = 2 }), Replaced},
		"gone":            {Expect{}, nas, with(func(m *Mount) { m.Point = "/" }), Absent},
		"bind by root":    {Expect{Source: "nas:/exp[/sub]"}, Mount{}, with(func(m *Mount) { m.Root = "/sub" }), OK},
		"bind, other":     {Expect{Source: "nas:/exp[/sub]"}, Mount{}, nas, Wrong},
	} {
		c.e.Path = "/mnt/nas"
		if f := judge(c.e, c.base, c.now); f.Kind != c.want || f.Detail == "" || (f.Do == "") != (f.Kind == OK) {
			t.Errorf("%s: got %+v, want %s", name, f, c.want)
		}
	}
}
