package oom

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/interlock-run/interlock/internal/cgroup"
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
	own, tree, err := memoryGroup(cgroups)
	if err != nil {
		return place{}, err
	}
	lines := strings.Split(mountinfo, "\n")
	for i, line := range lines {
		m, ok := cgroup.ParseMount(line)
		if !ok || !m.Shows(tree) {
			continue
		}
		dir, ok := m.Dir(own)
		if tree == cgroup.V2 && group != "" && cgroup.Within(m.Point, group) {
			dir, ok = group, true
		}
		if !ok || slices.ContainsFunc(lines[i+1:], func(later string) bool { return covers(later, dir) }) {
			continue
		}
		if tree != cgroup.V2 {
			return place{dir: dir, top: m.Point, file: "memory.oom_control", v1: true}, nil
		}
		return place{dir: dir, top: m.Point, file: "memory.events"}, nil
	}
	return place{}, errors.New("no mounted cgroup tree shows the memory cgroup " + own + " of this process")
}

// memoryGroup is our path in the hierarchy that counts memory.
func memoryGroup(cgroups string) (own string, tree cgroup.Tree, err error) {
	for _, tree := range []cgroup.Tree{"memory", cgroup.V2} {
		if own, found := tree.Own(cgroups); found {
			return own, tree, nil
		}
	}
	return "", "", errors.New("/proc/self/cgroup names neither a memory controller nor a v2 tree")
}

// covers tells of a later mount that the way to dir may lead into it: opening there could wait for whatever
// was mounted.
func covers(line, dir string) bool {
	m, ok := cgroup.ParseMount(line)
	return ok && m.Point != "/" && cgroup.Within(m.Point, dir)
}
