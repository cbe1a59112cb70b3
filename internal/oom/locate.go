package oom

import (
	"errors"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A place is where the count is looked for: file in dir, or with v2 in a directory between it and top.
type place struct {
	dir, top, file string
	v1             bool
}

func (p place) magic() int64 {
	if p.v1 {
		return unix.CGROUP_SUPER_MAGIC
	}
	return unix.CGROUP2_SUPER_MAGIC
}

// locate reads /proc/self/cgroup and the mount table. Memory is counted by the v1 hierarchy that has the
// controller, else by the v2 tree, never by both.
func locate(cgroups, mountinfo, group string) (place, error) {
	own, v1, err := memoryGroup(cgroups)
	if err != nil {
		return place{}, err
	}
	lines := strings.Split(mountinfo, "\n")
	for i, line := range lines {
		m, ok := parseMount(line)
		if !ok || !m.counts(v1) {
			continue
		}
		dir, ok := m.dir(own)
		if !v1 && group != "" && within(m.point, group) {
			dir, ok = group, true
		}
		if !ok || slices.ContainsFunc(lines[i+1:], func(later string) bool { return covers(later, dir) }) {
			continue
		}
		if v1 {
			return place{dir: dir, top: m.point, file: "memory.oom_control", v1: true}, nil
		}
		return place{dir: dir, top: m.point, file: "memory.events"}, nil
	}
	return place{}, errors.New("no mounted cgroup tree shows the memory cgroup " + own + " of this process")
}

// memoryGroup is our path in the hierarchy that counts memory.
func memoryGroup(cgroups string) (own string, v1 bool, err error) {
	found := false
	for _, line := range strings.Split(cgroups, "\n") {
		f := strings.SplitN(line, ":", 3)
		if len(f) != 3 {
			continue
		}
		if slices.Contains(strings.Split(f[1], ","), "memory") {
			return f[2], true, nil
		}
		if f[0] == "0" && f[1] == "" {
			own, found = f[2], true
		}
	}
	if !found {
		return "", false, errors.New("/proc/self/cgroup names neither a memory controller nor a v2 tree")
	}
	return own, false, nil
}

// A mount is what counts of a line of the mount table.
type mount struct{ root, point, kind, super string }

func parseMount(line string) (mount, bool) {
	before, after, ok := strings.Cut(line, " - ")
	f, g := strings.Fields(before), strings.Fields(after)
	if !ok || len(f) < 5 || len(g) < 3 {
		return mount{}, false
	}
	return mount{root: f[3], point: f[4], kind: g[0], super: g[2]}, true
}

func (m mount) counts(v1 bool) bool {
	if v1 {
		return m.kind == "cgroup" && slices.Contains(strings.Split(m.super, ","), "memory")
	}
	return m.kind == "cgroup2"
}

// dir maps a path of the hierarchy to a directory of a mount that may show only a part of it.
func (m mount) dir(own string) (string, bool) {
	switch {
	case m.root == "/":
		return path.Join(m.point, own), !strings.HasPrefix(own, "/..") // a group outside our cgroup namespace
	case within(m.root, own):
		return path.Join(m.point, strings.TrimPrefix(own, m.root)), true
	}
	return "", false
}

func within(top, p string) bool { return p == top || top == "/" || strings.HasPrefix(p, top+"/") }

// covers tells of a later mount that the way to dir may lead into it: opening there could wait for whatever
// was mounted.
func covers(line, dir string) bool {
	m, ok := parseMount(line)
	return ok && m.point != "/" && within(m.point, dir)
}
