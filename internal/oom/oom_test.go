package oom

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	proc    = "22 30 0:21 / /proc rw,nosuid - proc proc rw\n"
	tmpfs   = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
	memory1 = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:4 - cgroup cgroup rw,memory\n"
	freezer = "34 31 0:31 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
	tree    = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
	unified = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)

func TestLocate(t *testing.T) {
	for _, c := range []struct {
		name, cgroups, mounts, group string
		want                         string // empty: an error
		v1                           bool
	}{
		{name: "v1 on a host", cgroups: "9:name=systemd:/\n4:memory:/a/b\n0::/\n", mounts: proc + tmpfs + freezer + memory1 + unified, want: "/sys/fs/cgroup/memory/a/b/memory.oom_control", v1: true},
		{name: "v1, two controllers in one hierarchy", cgroups: "4:cpu,memory:/a\n", mounts: strings.Replace(memory1, "rw,memory", "rw,cpu,memory", 1), want: "/sys/fs/cgroup/memory/a/memory.oom_control", v1: true},
		{name: "v1, the container's part of it", cgroups: "4:memory:/docker/12\n0::/docker/12\n", mounts: tmpfs + strings.Replace(memory1, "/ /sys", "/docker/12 /sys", 1), want: "/sys/fs/cgroup/memory/memory.oom_control", v1: true},
		{name: "v1, a cgroup namespace", cgroups: "4:memory:/\n0::/\n", mounts: tmpfs + memory1, want: "/sys/fs/cgroup/memory/memory.oom_control", v1: true},
		{name: "hybrid, memory in v1, own group in v2", cgroups: "4:memory:/a\n0::/a\n", mounts: memory1 + unified, group: "/sys/fs/cgroup/unified/a/own", want: "/sys/fs/cgroup/memory/a/memory.oom_control", v1: true},
		{name: "hybrid, memory in v2", cgroups: "4:freezer:/\n0::/a\n", mounts: tmpfs + freezer + unified, want: "/sys/fs/cgroup/unified/a/memory.events"},
		{name: "v2", cgroups: "0::/system.slice/db.service\n", mounts: proc + tree, want: "/sys/fs/cgroup/system.slice/db.service/memory.events"},
		{name: "v2, own group", cgroups: "0::/db.service\n", mounts: tree, group: "/sys/fs/cgroup/db.service/own", want: "/sys/fs/cgroup/db.service/own/memory.events"},
		{name: "v2, a cgroup namespace", cgroups: "0::/\n", mounts: tree, want: "/sys/fs/cgroup/memory.events"},
		{name: "v2, the container's part of it", cgroups: "0::/pod/c\n", mounts: strings.Replace(tree, "/ /sys", "/pod/c /sys", 1), want: "/sys/fs/cgroup/memory.events"},
		{name: "another container's part", cgroups: "0::/pod/cc\n", mounts: strings.Replace(tree, "/ /sys", "/pod/c /sys", 1)},
		{name: "outside our namespace", cgroups: "0::/../other\n", mounts: tree},
		{name: "only a tmpfs in sight", cgroups: "4:memory:/a\n", mounts: proc + tmpfs},
		{name: "covered later", cgroups: "0::/a\n", mounts: tree + "50 31 0:50 / /sys/fs/cgroup rw - nfs host:/x rw\n"},
		{name: "a later mount beside it", cgroups: "0::/a\n", mounts: tree + "50 31 0:50 / /sys/fs/cgroup/ab rw - nfs host:/x rw\n50 1 0:51 / / rw - ext4 /dev/x rw\n", want: "/sys/fs/cgroup/a/memory.events"},
		{name: "nothing said", cgroups: "\n", mounts: tree},
	} {
		p, err := locate(c.cgroups, c.mounts, c.group)
		if got := filepath.Join(p.dir, p.file); err == nil && (got != c.want || p.v1 != c.v1) || (err == nil) != (c.want != "") {
			t.Errorf("%s: %s, v1 %v, %v: expected %q", c.name, got, p.v1, err, c.want)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestRead(t *testing.T) {
	for text, want := range map[string]uint64{
		"oom_kill_disable 0\nunder_oom 0\noom_kill 3\n":             3,
		"low 0\nhigh 0\nmax 7\noom 5\noom_kill 4\noom_group_kill 1": 4,
	} {
		path := filepath.Join(t.TempDir(), "count")
		write(t, path, text)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the same file again
			if n, err := Read(f); n != want || err != nil {
				t.Errorf("%q: %d, %v: expected %d", text, n, err, want)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(f); err == nil {
			t.Error("a count was read from a closed file")
		}
	}
	path := filepath.Join(t.TempDir(), "count")
	write(t, path, "oom_kill_disable 0\nunder_oom 0\n")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := Read(f); err == nil {
		t.Errorf("a file without a count gave %d", n)
	}
}

// A file that only looks like the kernel's is none, and a v2 group that does not count is looked for above,
// up to the mount and not beyond.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "top/memory.events"), "oom_kill 1\n")
	write(t, filepath.Join(dir, "memory.events"), "oom_kill 1\n")
	write(t, filepath.Join(dir, "top/a/b/cgroup.procs"), "")
	if _, err := (place{dir: filepath.Join(dir, "top/a/b"), top: filepath.Join(dir, "top"), file: "memory.events"}).open(); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v: expected that the file above is found, and refused for its filesystem", err)
	}
	if _, err := (place{dir: filepath.Join(dir, "top/a/b"), top: filepath.Join(dir, "top/a"), file: "memory.events"}).open(); !errors.Is(err, errUncounted) {
		t.Errorf("%v: expected the search to end at the mount", err)
	}
	if _, err := (place{dir: filepath.Join(dir, "top/a/b"), top: dir, file: "memory.oom_control", v1: true}).open(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v: expected no search in v1", err)
	}
}
