package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// build makes the payload; a tree that has no source here is none that this command comes from.
func build(ctx context.Context, to string) error {
	return goBuild(ctx, ".", to, "./internal/chaos/payload")
}

// currentEtcd is the server that modules/etcd pins, built once for each state of its go.sum.
func currentEtcd(ctx context.Context) (string, error) {
	const module = "modules/etcd"
	sum, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place for the etcd server that is to be built: %w", err)
	}
	dir := filepath.Join(cache, "interlock-chaos", fmt.Sprintf("etcd-%x", sha256.Sum256(sum))[:20])
	binary := filepath.Join(dir, "etcd")
	if _, err := os.Stat(binary); !errors.Is(err, os.ErrNotExist) {
		return binary, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	fresh := fmt.Sprintf("%s.%d", binary, os.Getpid())
	if err := goBuild(ctx, module, fresh, "."); err != nil {
		return "", err
	}
	return binary, os.Rename(fresh, binary)
}

func goBuild(ctx context.Context, dir, to, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", to, pkg)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s in %s: %w: %s", pkg, dir, err, out)
	}
	return nil
}
