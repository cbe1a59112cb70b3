package cgroup

import "testing"

const cgroups = "5:freezer:/box/f\n4:memory,cpu:/box/m\n0::/box/u\n"

func TestOwn(t *testing.T) {
	for tree, want := range map[Tree]string{"freezer": "/box/f", "cpu": "/box/m", V2: "/box/u", "mem": ""} {
		if got, ok := tree.Own(cgroups); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v: expected %q", tree, got, ok, want)
		}
	}
}

func TestMounts(t *testing.T) {
	const (
		freezer = "35 28 0:31 /box /sys/fs/cgroup/freezer rw,nosuid - cgroup cgroup rw,freezer"
		unified = "29 28 0:26 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw,nsdelegate"
		tmpfs   = "28 27 0:25 / /sys/fs/cgroup rw - tmpfs tmpfs rw,freezer"
	)
	for _, c := range []struct {
		line  string
		tree  Tree
		own   string
		shows bool
		dir   string // empty: not shown by this mount
	}{
		{freezer, "freezer", "/box/f", true, "/sys/fs/cgroup/freezer/f"},
		{freezer, "freezer", "/box", true, "/sys/fs/cgroup/freezer"},
		{freezer, "freezer", "/boxes", true, ""},
		{freezer, "memory", "/box/f", false, "/sys/fs/cgroup/freezer/f"},
		{freezer, V2, "/box/f", false, "/sys/fs/cgroup/freezer/f"},
		{unified, V2, "/box/u", true, "/sys/fs/cgroup/unified/box/u"},
		{unified, V2, "/../u", true, ""},
		{tmpfs, "freezer", "/x", false, "/sys/fs/cgroup/x"},
	} {
		m, ok := ParseMount(c.line)
		if !ok || m.Shows(c.tree) != c.shows {
			t.Errorf("%q shows %q: %v, parsed %v", c.line, c.tree, !c.shows, ok)
		}
		if dir, ok := m.Dir(c.own); ok != (c.dir != "") || ok && dir != c.dir {
			t.Errorf("%q: %s lies at %q, %v: expected %q", c.line, c.own, dir, ok, c.dir)
		}
	}
	if _, ok := ParseMount("29 28 0:26 / /x rw"); ok {
		t.Error("half a line was accepted")
	}
}
