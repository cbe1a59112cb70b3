package container

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// A tree is a part of config.json: adapted by its keys, so that what `runc spec` writes and we do not know
// stays as it is.
type tree = map[string]any

// A change adapts the container's config.json.
type change func(spec tree)

func part(spec tree, key string) tree { return spec[key].(tree) }

// newSpec is what `runc spec` writes, made into what a daemon gives an image with a numeric user: no
// terminal, no capability, nothing of the host but one directory.
func newSpec(t testing.TB, bundle, shared, group string, args []string) tree {
	t.Helper()
	cmd := exec.Command("runc", "spec")
	cmd.Dir = bundle
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("runc spec: %v: %s", err, out)
	}
	raw, err := os.ReadFile(filepath.Join(bundle, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var spec tree
	if err := json.Unmarshal(raw, &spec); err != nil {
		t.Fatal(err)
	}
	process := part(spec, "process")
	process["terminal"], process["args"], process["env"] = false, args, []string{"PATH=/"}
	process["user"] = tree{"uid": 65532, "gid": 65532}
	process["capabilities"], process["noNewPrivileges"] = tree{}, true
	spec["mounts"] = append(spec["mounts"].([]any), tree{"destination": inside, "type": "bind", "source": shared,
		"options": []string{"bind", "rw", "nosuid", "nodev"}})
	linux := part(spec, "linux")
	linux["cgroupsPath"], linux["seccomp"] = group, seccomp()
	part(linux, "resources")["pids"] = tree{"limit": 64}
	return spec
}

func writeSpec(t testing.TB, bundle string, spec tree) {
	t.Helper()
	raw, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

// seccomp refuses what daemons' default profiles refuse of what interlock asks for: new namespaces and
// mounts.
func seccomp() tree {
	refused := func(args []tree, names ...string) tree {
		return tree{"names": names, "action": "SCMP_ACT_ERRNO", "args": args}
	}
	rules := []tree{refused(nil, "unshare", "setns", "mount", "umount2", "pivot_root")}
	for _, flag := range []uint64{0x20000000 /* PID */, 0x10000000 /* user */, 0x00020000 /* mounts */} {
		rules = append(rules, refused([]tree{{"index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ"}}, "clone"))
	}
	return tree{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}
}

// root is a container of an image without a user: uid 0, still without a capability.
func root(spec tree) { part(spec, "process")["user"] = tree{"uid": 0, "gid": 0} }

// writable gives the container a root that it may write to.
func writable(spec tree) { part(spec, "root")["readonly"] = false }

// overriding is root that may write where the mode forbids it, as daemons' defaults allow.
func overriding(spec tree) {
	root(spec)
	capable(spec, "CAP_DAC_OVERRIDE", "CAP_KILL")
}

func capable(spec tree, caps ...string) {
	part(spec, "process")["capabilities"] = tree{"bounding": caps, "effective": caps, "permitted": caps}
}

// privileged allows namespaces: root with the capability for it and no seccomp.
func privileged(spec tree) {
	root(spec)
	capable(spec, "CAP_SYS_ADMIN", "CAP_KILL")
	delete(part(spec, "linux"), "seccomp")
}

// unconfined has no seccomp, and so a user namespace can be made where the host allows it.
func unconfined(spec tree) { delete(part(spec, "linux"), "seccomp") }

// hostPID is a container without a PID namespace.
func hostPID(spec tree) {
	linux := part(spec, "linux")
	linux["namespaces"] = slices.DeleteFunc(linux["namespaces"].([]any), func(ns any) bool { return ns.(tree)["type"] == "pid" })
}

// memory limits the container, without swap where the kernel counts that.
func memory(bytes int64) change {
	return func(spec tree) {
		limits := tree{"limit": bytes}
		_, v1 := os.Stat("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")
		_, v2 := os.Stat("/sys/fs/cgroup/cgroup.controllers")
		if v1 == nil || v2 == nil {
			limits["swap"] = bytes
		}
		part(part(spec, "linux"), "resources")["memory"] = limits
	}
}

// joined shares the PID namespace of another container's process, as pods may.
func joined(pidns string) change {
	return func(spec tree) {
		for _, ns := range part(spec, "linux")["namespaces"].([]any) {
			if ns := ns.(tree); ns["type"] == "pid" {
				ns["path"] = pidns
			}
		}
	}
}

// plainTmpfs puts a writable tmpfs where cgroups are looked for, as on hosts with cgroup v1.
func plainTmpfs(spec tree) {
	for _, m := range spec["mounts"].([]any) {
		if m := m.(tree); m["destination"] == "/sys/fs/cgroup" {
			m["type"], m["source"], m["options"] = "tmpfs", "tmpfs", []string{"rw", "nosuid", "nodev"}
		}
	}
}
