package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// A family is a set of packages that is tested together and can be tested
// alone.
type family struct {
	name  string
	below []string // package folders, with all below them
	tools []string // keys of the table in install.go
}

// families in the order of their start: the long ones first. core has no
// list: it is every package that no other family has, so none is forgotten.
func families() []family {
	return []family{
		{"locks", []string{"internal/e2e/locks"}, []string{"zookeeper", "etcd", "system"}},
		{"run", []string{"cmd", "internal/e2e/life", "internal/testkit"}, []string{"zookeeper", "etcd", "system"}},
		{"storage", []string{"internal/e2e/storage"}, []string{"etcd", "system"}},
		{"guard", []string{"internal/e2e/guard"}, []string{"etcd", "system"}},
		{"container", []string{"internal/e2e/container"}, []string{"container", "system"}},
		{"zk", []string{"lock/zk"}, []string{"zookeeper"}},
		{"etcd", []string{"lock/etcd"}, []string{"etcd"}},
		{"supervise", []string{"supervise", "internal/role"}, []string{"system"}},
		{core, nil, []string{"system"}},
	}
}

const core = "core"

// choose looks names up; none means all.
func choose(names []string) ([]family, error) {
	all := families()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []family
	for _, name := range names {
		i := slices.IndexFunc(all, func(f family) bool { return f.name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown family %q: expected one of %s", name, familyNames(all))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func familyNames(all []family) string {
	var names []string
	for _, f := range all {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// familyOf tells which family tests the package in this folder.
func familyOf(folder string) string {
	for _, f := range families() {
		for _, top := range f.below {
			if folder == top || strings.HasPrefix(folder, top+"/") {
				return f.name
			}
		}
	}
	return core
}

// packages lists those of a family, as go test wants them.
func (s *session) packages(f family) ([]string, error) {
	cmd := exec.Command("go", "list", "-e", "-f", "{{.Dir}}", "./...")
	cmd.Dir = s.root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot list the packages: %w", err)
	}
	var mine []string
	for dir := range strings.Lines(string(out)) {
		folder := strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(dir), s.root), "/")
		if familyOf(folder) == f.name {
			mine = append(mine, "./"+folder)
		}
	}
	return mine, nil
}
