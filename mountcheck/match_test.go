package mountcheck

import "testing"

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
