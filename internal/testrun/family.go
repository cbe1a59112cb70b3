package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/interlock-run/interlock/internal/testkit"
)

// A family is a set of packages that is tested together and can be tested
// alone.
type family struct {
	name      string
	below     []string             // package folders, with all below them
	tools     []string             // keys of the table in install.go
	longTools []string             // as tools, for the long form alone
	modules   []string             // folders with a go.mod of their own: what only tests need
	servers   []testkit.ModuleTool // built from the Go module proxy before the tests, whose time is limited
}

// families in the order of their start: the long ones first. core has no
// list: it is every package that no other family has, so none is forgotten.
func families() []family {
	return []family{
		{
			name:      "citizen",
			below:     []string{"internal/e2e/citizen", "internal/e2e/container", "internal/e2e/databases", "internal/e2e/life"},
			tools:     []string{"container", "databases", "zookeeper", "etcd", "system"},
			longTools: []string{"docker"},
			modules:   []string{"modules/kubernetes"},
		},
		{name: "locks", below: []string{"internal/e2e/locks"}, tools: []string{"zookeeper", "etcd", "system"}},
		{name: "chaos", below: []string{"internal/chaos"}, tools: []string{"zookeeper", "etcd", "system"}},
		{name: "mutations", below: []string{"internal/e2e/mutations"}, tools: []string{"zookeeper", "etcd", "system"}},
		{name: "foreign", below: []string{"internal/e2e/foreign"}, tools: []string{"zookeeper", "etcd", "peers", "system"}},
		{name: "snapshot", below: []string{"internal/snapshot", "internal/store"}, tools: []string{"system"},
			servers: []testkit.ModuleTool{testkit.VersityGW()}},
		{name: "backup", below: []string{"backup", "internal/courier", "internal/e2e/presets", "internal/fstree"}, tools: []string{"databases", "system"},
			servers: []testkit.ModuleTool{testkit.VersityGW()}},
		{name: "restore", below: []string{"restore"}, tools: []string{"databases", "system"}},
		{name: "vault", below: []string{"internal/e2e/vault", "internal/e2e/snapshots"}, tools: []string{"databases", "zookeeper", "etcd", "system"},
			servers: []testkit.ModuleTool{testkit.VersityGW()}},
		{name: "caches", below: []string{"internal/e2e/warm"}, tools: []string{"cache", "system"},
			servers: []testkit.ModuleTool{testkit.VersityGW()}},
		{name: "warm", below: []string{"warm"}, tools: []string{"cache", "system"},
			servers: []testkit.ModuleTool{testkit.VersityGW()}},
		{name: "run", below: []string{"cmd", "internal/testkit"}, tools: []string{"zookeeper", "etcd", "system"}},
		{name: "mounts", below: []string{"internal/e2e/mounts", "internal/e2e/ordeal"}, tools: []string{"mounts", "nbd", "system"},
			servers: []testkit.ModuleTool{testkit.FaultFSTool()}},
		{name: "device", below: []string{"device", "internal/e2e/device"}, tools: []string{"nbd", "system"},
			servers: []testkit.ModuleTool{testkit.FaultFSTool()}},
		{name: "storage", below: []string{"internal/e2e/storage"}, tools: []string{"etcd", "system"}, servers: []testkit.ModuleTool{testkit.FaultFSTool()}},
		{name: "mountcheck", below: []string{"mountcheck"}, tools: []string{"nbd", "system"}, servers: []testkit.ModuleTool{testkit.FaultFSTool()}},
		{name: "guard", below: []string{"internal/e2e/guard", "internal/e2e/ending"}, tools: []string{"etcd", "system"},
			servers: []testkit.ModuleTool{testkit.FaultFSTool()}},
		{name: "zk", below: []string{"lock/zk"}, tools: []string{"zookeeper"}},
		{name: "etcd", below: []string{"lock/etcd"}, tools: []string{"etcd"}},
		{name: "supervise", below: []string{"supervise", "internal/role"}, tools: []string{"system"}},
		{name: "fencing", below: []string{"fence"}, tools: []string{"system"}},
		{name: core, tools: []string{"system"}},
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
