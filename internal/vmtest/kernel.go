package vmtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/interlock-run/interlock/internal/testkit"
)

// kernelPackage is the one that depends on Debian's newest kernel for clouds: the smallest with what the
// tests need.
const kernelPackage = "linux-image-cloud-amd64"

// A kernel is one that can be booted, in a folder of Go's build cache.
type kernel struct {
	version string
	dir     string
}

func (k kernel) image() string   { return filepath.Join(k.dir, "vmlinux") }
func (k kernel) modules() string { return filepath.Join(k.dir, "lib/modules", k.version) }

// findKernel gives the newest kernel that Debian offers here, or else the one of an earlier run.
func findKernel(ctx context.Context) (kernel, error) {
	cache, err := cacheDir(ctx)
	if err != nil {
		return kernel{}, err
	}
	turn, err := testkit.TakeTurn(cache)
	if err != nil {
		return kernel{}, err
	}
	defer turn.Close() //nolint:errcheck // it holds a lock and no data
	name, offered := offeredKernel(ctx)
	if offered != nil {
		return earlierKernel(cache, offered)
	}
	k := kernel{version: strings.TrimPrefix(name, "linux-image-"), dir: filepath.Join(cache, name)}
	if _, err := os.Stat(k.image()); err == nil {
		return k, nil
	}
	if err := k.fetch(ctx, name, cache); err != nil {
		return kernel{}, lacking("no kernel: %v", err)
	}
	return k, nil
}

func cacheDir(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOCACHE: %w", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "interlock", "vm")
	return dir, os.MkdirAll(dir, 0o755)
}

// offeredKernel asks Debian's own list on this machine, not the network.
func offeredKernel(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-cache", "depends", "--important", kernelPackage).Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache depends %s: %w", kernelPackage, err)
	}
	for line := range strings.Lines(string(out)) {
		if _, name, is := strings.Cut(line, "Depends: "); is && strings.HasPrefix(name, "linux-image-") {
			return strings.TrimSpace(name), nil
		}
	}
	return "", fmt.Errorf("%s is not a package known here: run apt-get update", kernelPackage)
}

func earlierKernel(cache string, why error) (kernel, error) {
	found, err := filepath.Glob(filepath.Join(cache, "linux-image-*", "vmlinux"))
	if err != nil || len(found) == 0 {
		return kernel{}, lacking("no kernel: %v", errors.Join(why, err))
	}
	dir := filepath.Dir(found[len(found)-1])
	return kernel{version: strings.TrimPrefix(filepath.Base(dir), "linux-image-"), dir: dir}, nil
}

// fetch downloads and unpacks the package beside its place and moves it there whole.
func (k kernel) fetch(ctx context.Context, name, cache string) error {
	work, err := os.MkdirTemp(cache, "fetch")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work) //nolint:errcheck // a rest in a cache; the next clean-up of it takes it
	fresh := kernel{version: k.version, dir: filepath.Join(work, "tree")}
	// As one command, for apt writes the file's name by its own rules.
	if err := command(ctx, work, "sh", "-c", "apt-get -qq download "+name+" && dpkg -x "+name+"_*.deb tree"); err != nil {
		return err
	}
	if err := command(ctx, work, "depmod", "-b", fresh.dir, k.version); err != nil {
		return err
	}
	if err := unpackImage(ctx, filepath.Join(fresh.dir, "boot", "vmlinuz-"+k.version), fresh.image()); err != nil {
		return err
	}
	if err := os.RemoveAll(k.dir); err != nil {
		return err
	}
	return os.Rename(fresh.dir, k.dir)
}

func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+toolPath)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// unpackImage takes the kernel proper out of the file that unpacks itself, which costs an emulated
// processor seconds at each boot.
func unpackImage(ctx context.Context, from, to string) error {
	packed, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	for _, p := range []struct{ tool, magic string }{
		{"lz4", "\x02!L\x18"}, {"zstd", "(\xb5/\xfd"}, {"xz", "\xfd7zXZ\x00"}, {"gzip", "\x1f\x8b\x08"},
	} {
		for at := bytes.Index(packed, []byte(p.magic)); at >= 0; at = next(packed, p.magic, at) {
			cmd := exec.CommandContext(ctx, p.tool, "-dc")
			cmd.Stdin = bytes.NewReader(packed[at:])
			// What follows the packed part makes the tool fail after it has written all.
			image, err := cmd.Output()
			if bytes.HasPrefix(image, []byte("\x7fELF")) {
				return os.WriteFile(to, image, 0o644)
			}
			if errors.Is(err, exec.ErrNotFound) {
				break
			}
		}
	}
	return fmt.Errorf("%s: found no kernel in it that lz4, zstd, xz or gzip unpacks", from)
}

func next(in []byte, magic string, at int) int {
	if i := bytes.Index(in[at+1:], []byte(magic)); i >= 0 {
		return at + 1 + i
	}
	return -1
}
