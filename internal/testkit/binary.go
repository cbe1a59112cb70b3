package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// BinaryVar names a binary built by the runner, so that the packages of a
// family need not build it each.
const BinaryVar = "INTERLOCK_BIN"

// MutateBinaryVar is BinaryVar for MutateBinary.
const MutateBinaryVar = "INTERLOCK_MUTATE_BIN"

// A flavour is a program and how it is built.
type flavour struct {
	dir  string // where the package's path starts; empty: this module's root
	pkg  string
	tags string
}

func (f flavour) name() string {
	name := filepath.Base(f.pkg)
	if f.tags != "" {
		name += "-" + f.tags
	}
	return name
}

const product = "./cmd/interlock"

type built struct {
	path string
	err  error
}

// Binary is the path of cmd/interlock, built once for this test process the
// way it is shipped (static), or the one that INTERLOCK_BIN names. Any user
// may run it.
func Binary(t testing.TB) string {
	t.Helper()
	return given(t, BinaryVar, flavour{pkg: product})
}

// MutateBinary is Binary with the tag mutate: it breaks the rules that its
// environment names (internal/mutate), or it is the one that
// INTERLOCK_MUTATE_BIN names.
func MutateBinary(t testing.TB) string {
	t.Helper()
	return given(t, MutateBinaryVar, flavour{pkg: product, tags: "mutate"})
}

// BreakpointBinary is Binary with the tag breakpoints: it is killed or stopped at the point that its environment
// names (internal/breakpoint).
func BreakpointBinary(t testing.TB) string {
	t.Helper()
	return buildOnce(t, flavour{pkg: product, tags: "breakpoints"})
}

func given(t testing.TB, variable string, f flavour) string {
	t.Helper()
	if path := setting(variable); path != "" {
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%s: %v", variable, err)
		}
		return path
	}
	return buildOnce(t, f)
}

// Program is the path of a package in the test's own folder, such as ./testdata/worker, built once for this
// test process with these tags. Any user may run it.
func Program(t testing.TB, pkg, tags string) string {
	t.Helper()
	dir, err := os.Getwd()
	must(t, err)
	return buildOnce(t, flavour{dir: dir, pkg: pkg, tags: tags})
}

func buildOnce(t testing.TB, f flavour) string {
	t.Helper()
	proc.mu.Lock()
	defer proc.mu.Unlock()
	if proc.dir == "" {
		t.Fatal("a built program needs `func TestMain(m *testing.M) { testkit.Main(m) }` in this package")
	}
	b, ok := proc.binary[f]
	if !ok {
		b.path = filepath.Join(proc.dir, "bin", f.name())
		b.err = build(b.path, f)
		if proc.binary == nil {
			proc.binary = map[flavour]built{}
		}
		proc.binary[f] = b
	}
	must(t, b.err)
	return b.path
}

func build(path string, f flavour) error {
	if f.dir == "" {
		root, err := ModuleRoot()
		if err != nil {
			return err
		}
		f.dir = root
	}
	cmd := exec.Command("go", "build", "-trimpath", "-tags", f.tags, "-o", path, f.pkg)
	cmd.Dir = f.dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build %s: %w\n%s", f.pkg, err, out)
	}
	return nil
}

// ModuleRoot is the folder of go.mod above the test's own.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, os.ErrNotExist) || dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod above the test's folder: %w", err)
		}
		dir = filepath.Dir(dir)
	}
}
