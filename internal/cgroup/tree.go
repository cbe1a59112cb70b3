// Package cgroup finds the directory of this process's cgroup in a mounted hierarchy, from the text of
// /proc/self/cgroup and of the mount table.
//
// Promise: it reads nothing and starts cheaply; a mount that does not show the cgroup gives no directory.
// Non-promise: that what lies at the directory is the kernel's: look at the filesystem's magic. Called by
// supervise, for the kill domain, and by internal/oom.
package cgroup

import (
	"path"
	"slices"
	"strings"
)

// A Tree is one hierarchy: the v1 hierarchy that has the controller, or the v2 tree where it is empty.
type Tree string

// V2 is the one tree of cgroup v2.
const V2 Tree = ""

// Own is our path in the tree: the line "0::PATH" of /proc/self/cgroup, or the one with the controller.
func (t Tree) Own(cgroups string) (string, bool) {
	for _, line := range strings.Split(cgroups, "\n") {
		f := strings.SplitN(line, ":", 3)
		if len(f) != 3 {
			continue
		}
		if t == V2 && f[0] == "0" && f[1] == "" || t != V2 && hasItem(f[1], string(t)) {
			return f[2], true
		}
	}
	return "", false
}

// A Mount is what counts of a line of the mount table.
type Mount struct {
	Root, Point string
	kind, super string
}

// ParseMount reads a line of /proc/self/mountinfo.
func ParseMount(line string) (Mount, bool) {
	before, after, ok := strings.Cut(line, " - ")
	f, g := strings.Fields(before), strings.Fields(after)
	if !ok || len(f) < 5 || len(g) < 3 {
		return Mount{}, false
	}
	return Mount{Root: f[3], Point: f[4], kind: g[0], super: g[2]}, true
}

// Shows tells whether the tree is mounted here.
func (m Mount) Shows(t Tree) bool {
	if t == V2 {
		return m.kind == "cgroup2"
	}
	return m.kind == "cgroup" && hasItem(m.super, string(t))
}

// Dir maps a path of the tree to a directory of a mount that may show only a part of it.
func (m Mount) Dir(own string) (string, bool) {
	switch {
	case m.Root == "/":
		return path.Join(m.Point, own), !strings.HasPrefix(own, "/..") // a group outside our cgroup namespace
	case Within(m.Root, own):
		return path.Join(m.Point, strings.TrimPrefix(own, m.Root)), true
	}
	return "", false
}

// Within tells whether p is top or lies below it, by their text.
func Within(top, p string) bool { return p == top || top == "/" || strings.HasPrefix(p, top+"/") }

func hasItem(list, item string) bool { return slices.Contains(strings.Split(list, ","), item) }
