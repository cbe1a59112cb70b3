package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"

	"github.com/interlock-run/interlock/internal/testkit"
)

// build makes the payload; a tree that has no source here is none that this command comes from.
func build(ctx context.Context, to string) error {
	return goBuild(ctx, ".", to, "./internal/chaos/payload")
}

// currentEtcd is the server that modules/etcd pins, built once for each state of its go.sum.
func currentEtcd(ctx context.Context) (string, error) {
	return testkit.ModuleTool{Module: "modules/etcd", Package: ".", Name: "etcd"}.Build(ctx, ".")
}

func goBuild(ctx context.Context, dir, to, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", to, pkg)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s in %s: %w: %s", pkg, dir, err, out)
	}
	return nil
}
