package restore

import "testing"

func TestStateDirFor(t *testing.T) {
	for _, c := range []struct {
		data, mount string
		mounted     bool
		want        string
		warn        bool
	}{
		{"/var/lib/mysql", "/", false, "/var/lib/.interlock", false},
		{"/srv/db/data", "/srv/db", true, "/srv/db/.interlock", false},
		{"/srv/db/a/b/", "/srv/db/", true, "/srv/db/.interlock", false},
		{"/data", "/data", true, "/data/.interlock", true},
		{"/data/", "/data", true, "/data/.interlock", true},
		{"/data", "/data", false, "/.interlock", false},
		{"/srv/dbx/data", "/srv/db", true, "/srv/dbx/.interlock", false},
	} {
		dir, warning := StateDirFor(c.data, c.mount, c.mounted)
		if dir != c.want || (warning != "") != c.warn {
			t.Errorf("data %s, mount %s %v: %s, %q: expected %s", c.data, c.mount, c.mounted, dir, warning, c.want)
		}
		if c.mounted && c.mount != "/srv/db" || dir == "/.interlock" {
			continue
		}
		if err := CheckStateDir(dir, c.data, "/", false); err != nil && !c.warn {
			t.Errorf("our own choice %s for %s is refused: %v", dir, c.data, err)
		}
	}
}

func TestCheckStateDir(t *testing.T) {
	for _, c := range []struct {
		dir, data, mount string
		mounted          bool
		ok               bool
	}{
		{"/srv/db/.interlock", "/srv/db/data", "/srv/db", true, true},
		{"/srv/db/state", "/srv/db/data", "/srv/db", true, true},
		{"/srv/db/data/.interlock", "/srv/db/data", "/srv/db", true, false},
		{"/srv/db/data/.interlock", "/srv/db/data", "/srv/db/data", true, true},
		{"/srv/db/data/state", "/srv/db/data", "/srv/db/data", true, false},
		{"/srv/db/data/.interlock", "/srv/db/data", "/srv/db/data", false, false},
		{"/srv/db/data", "/srv/db/data", "/srv/db", true, false},
		{"/srv/db", "/srv/db/data", "/srv/db", true, false},
		{"/var/lib/interlock", "/srv/db/data", "/srv/db", true, false},
		{"/var/lib/interlock", "/srv/db/data", "/", false, true},
		{"/srv/dbx/.interlock", "/srv/db/data", "/srv/db", true, false},
		{"state", "/srv/db/data", "/", false, false},
		{"/", "/srv/db/data", "/", false, false},
		{"", "/srv/db/data", "/", false, false},
	} {
		if err := CheckStateDir(c.dir, c.data, c.mount, c.mounted); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
