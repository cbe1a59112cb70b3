package testkit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A ModuleTool is a program that a module of its own below modules/ pins.
type ModuleTool struct {
	Module  string // folder of its go.mod, from this module's root
	Package string // what go build is to build there
	Name    string // of the binary
}

// Build gives the path of the program, built once for each state of the module. It is kept inside
// Go's build cache, which outlives the checkout where that one does. Of several that build at once one does.
func (m ModuleTool) Build(ctx context.Context, root string) (string, error) {
	dir, err := m.place(ctx, root)
	if err != nil {
		return "", fmt.Errorf("no place for %s, which is to be built: %w", m.Name, err)
	}
	binary := filepath.Join(dir, m.Name)
	if _, err := os.Stat(binary); !errors.Is(err, os.ErrNotExist) {
		return binary, err
	}
	turn, err := TakeTurn(dir)
	if err != nil {
		return "", err
	}
	defer turn.Close() //nolint:errcheck // it holds a lock and no data
	if _, err := os.Stat(binary); !errors.Is(err, os.ErrNotExist) {
		return binary, err
	}
	fresh := fmt.Sprintf("%s.%d", binary, os.Getpid())
	if err := m.build(ctx, root, fresh); err != nil {
		return "", err
	}
	return binary, os.Rename(fresh, binary)
}

func (m ModuleTool) place(ctx context.Context, root string) (string, error) {
	sum, err := os.ReadFile(filepath.Join(root, m.Module, "go.sum"))
	if err != nil {
		return "", err
	}
	cache, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOCACHE: %w", err)
	}
	own, err := m.ownSources(root)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(string(bytes.TrimSpace(cache)), "interlock", fmt.Sprintf("%s-%x", m.Name, sha256.Sum256(append(sum, own...)))[:len(m.Name)+17])
	return dir, os.MkdirAll(dir, 0o755)
}

// ownSources are those of a program that lies in the module's folder itself.
func (m ModuleTool) ownSources(root string) ([]byte, error) {
	if m.Package != "." {
		return nil, nil
	}
	files, err := filepath.Glob(filepath.Join(root, m.Module, "*.go"))
	var all []byte
	for _, file := range files {
		text, readErr := os.ReadFile(file)
		all, err = append(all, text...), errors.Join(err, readErr)
	}
	return all, err
}

// TakeTurn waits for other processes that build or fetch into the same folder, until the file is closed.
func TakeTurn(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
		}
		return f, nil
	}
}

func (m ModuleTool) build(ctx context.Context, root, to string) error {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", to, m.Package)
	cmd.Dir, cmd.Env = filepath.Join(root, m.Module), append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = &out, &out
	err := proc.spawner.start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return fmt.Errorf("building %s in %s: %w: %s", m.Package, m.Module, errors.Join(err, ctx.Err()), lastLines(out.String(), 20))
	}
	return nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
