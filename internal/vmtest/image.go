package vmtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// Places inside the machine.
const (
	guestDir     = "/vmtest"
	guestTest    = guestDir + "/test"
	guestBinary  = guestDir + "/interlock"
	guestPayload = guestDir + "/payload"
	guestJob     = guestDir + "/job.json"
)

// A job is what the first process of the machine is told.
type job struct {
	Args    []string // of the test binary
	Env     []string
	Modules []string
}

// alwaysTools are for the first process and for whoever looks into a failure.
func alwaysTools() []string { return []string{"modprobe", "ip", "sh", "mount", "umount"} }

// image writes the machine's root into a file without a name, so that nothing of it can be left behind.
func image(ctx context.Context, f Family, k kernel, args []string, env ...string) (*os.File, error) {
	file, err := nameless()
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewWriterSize(file, 1<<20)
	a := newArchive(buffered)
	err = errors.Join(a.fill(ctx, f, k, args, env), a.close(), buffered.Flush())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the machine's root: %w", err), file.Close())
	}
	return file, nil
}

func nameless() (*os.File, error) {
	file, err := os.CreateTemp("", "vmtest")
	if err != nil {
		return nil, err
	}
	return file, os.Remove(file.Name())
}

func (a *archive) fill(ctx context.Context, f Family, k kernel, args, env []string) error {
	a.skeleton()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	err = errors.Join(a.program(ctx, self, guestTest), a.modules(k, append(append([]string{}, f.Modules...), f.Available...)))
	a.link("/init", guestTest)
	for _, name := range append(alwaysTools(), f.Tools...) {
		path, lookErr := findTool(name)
		if lookErr != nil {
			return lookErr
		}
		err = errors.Join(err, a.program(ctx, path, placed(path)))
	}
	for _, pattern := range f.Files {
		err = errors.Join(err, a.copies(ctx, pattern))
	}
	for _, name := range f.Scripts {
		err = errors.Join(err, a.script(name))
	}
	j := job{Args: args, Env: append([]string{"PATH=" + toolPath, "HOME=/root", "TMPDIR=/tmp", insideVar + "=1"}, env...), Modules: f.Modules}
	if f.Binary {
		err = errors.Join(err, a.binary(ctx))
		j.Env = append(j.Env, testkit.BinaryVar+"="+guestBinary, scene.PayloadVar+"="+guestPayload)
	}
	told, jsonErr := json.Marshal(j)
	a.file(guestJob, 0o644, told)
	return errors.Join(err, jsonErr)
}

// skeleton is what programs expect of any machine.
func (a *archive) skeleton() {
	for _, dir := range []string{"/proc", "/sys", "/dev", "/run", "/tmp", "/root", "/mnt", "/srv", "/var/lib/nfs/v4recovery", "/var/lib/nfs/sm", "/var/lib/nfs/rpc_pipefs", "/var/lib/nfs/nfsdcld", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64"} {
		a.dir(dir)
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		a.link("/"+name, "usr/"+name)
	}
	a.device("/dev/console", 5, 1)
	a.device("/dev/null", 1, 3)
	a.link("/var/run", "/run")
	a.link("/etc/mtab", "/proc/self/mounts")
	a.file("/etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"))
	a.file("/etc/group", 0o644, []byte("root:x:0:\nnogroup:x:65534:\n"))
	a.file("/etc/nsswitch.conf", 0o644, []byte("passwd: files\ngroup: files\nhosts: files\n"))
	a.file("/etc/hosts", 0o644, []byte("127.0.0.1 localhost\n"))
	for _, name := range []string{"/etc/protocols", "/etc/services", "/etc/netconfig", "/etc/mke2fs.conf"} {
		if content, err := os.ReadFile(name); err == nil { // what is missing here, no tool here needs
			a.file(name, 0o644, content)
		}
	}
}

func (a *archive) copies(ctx context.Context, pattern string) error {
	found, err := filepath.Glob(pattern)
	if err == nil && len(found) == 0 {
		err = lacking("there is no %s", pattern)
	}
	for _, path := range found {
		err = errors.Join(err, a.program(ctx, path, placed(path)))
	}
	return err
}

// script adds a file of this module, under its own name.
func (a *archive) script(name string) error {
	root, err := testkit.ModuleRoot()
	if err != nil {
		return err
	}
	content, err := os.ReadFile(filepath.Join(root, name))
	a.file(Script(name), 0o755, content)
	return err
}

// Script is where a file of Family.Scripts lies in the machine.
func Script(name string) string { return guestDir + "/" + filepath.Base(name) }

// binary adds cmd/interlock, as the runner has built it or built here, and the payload of the tests.
func (a *archive) binary(ctx context.Context) error {
	err := a.built(ctx, "internal/e2e/payload", guestPayload)
	if path := os.Getenv(testkit.BinaryVar); path != "" {
		return errors.Join(err, a.program(ctx, path, guestBinary))
	}
	return errors.Join(err, a.built(ctx, "cmd/interlock", guestBinary))
}

// built adds a command of this module.
func (a *archive) built(ctx context.Context, pkg, at string) error {
	root, err := testkit.ModuleRoot()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "vmtest")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // told by the check of what is left
	path := filepath.Join(dir, filepath.Base(at))
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./"+pkg)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build %s: %w: %s", pkg, err, strings.TrimSpace(string(out)))
	}
	return a.program(ctx, path, at)
}
