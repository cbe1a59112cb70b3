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

// A flavour is how a binary is built.
type flavour string

const (
	shipped flavour = "interlock"
	race    flavour = "interlock-race"
	mutate  flavour = "interlock-mutate"
)

type built struct {
	path string
	err  error
}

// Binary is the path of cmd/interlock, built once for this test process the
// way it is shipped (static), or the one that INTERLOCK_BIN names. Any user
// may run it.
func Binary(t testing.TB) string {
	t.Helper()
	return given(t, BinaryVar, shipped)
}

// MutateBinary is Binary with the tag mutate: it breaks the rules that its
// environment names (internal/mutate), or it is the one that
// INTERLOCK_MUTATE_BIN names.
func MutateBinary(t testing.TB) string {
	t.Helper()
	return given(t, MutateBinaryVar, mutate)
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

// RaceBinary is Binary with the race detector; skipped without gcc.
func RaceBinary(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		Skip(t, "race", "gcc is not installed, the race detector needs cgo")
	}
	return buildOnce(t, race)
}

func buildOnce(t testing.TB, f flavour) string {
	t.Helper()
	proc.mu.Lock()
	defer proc.mu.Unlock()
	if proc.dir == "" {
		t.Fatal("testkit.Binary needs `func TestMain(m *testing.M) { testkit.Main(m) }` in this package")
	}
	b, ok := proc.binary[f]
	if !ok {
		b.path = filepath.Join(proc.dir, "bin", string(f))
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
	root, err := ModuleRoot()
	if err != nil {
		return err
	}
	args, cgo := []string{"build", "-trimpath", "-o", path}, "0"
	switch f {
	case race:
		args, cgo = append(args, "-race"), "1"
	case mutate:
		args = append(args, "-tags", "mutate")
	}
	cmd := exec.Command("go", append(args, "./cmd/interlock")...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build cmd/interlock: %w\n%s", err, out)
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
