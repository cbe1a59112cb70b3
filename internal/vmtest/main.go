package vmtest

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/interlock-run/interlock/internal/testkit"
)

// Main is for TestMain: on the host it boots a machine and lets the tests run there.
func Main(m *testing.M, f Family) {
	switch {
	case os.Getpid() == 1 && bootedHere():
		beInit()
	case os.Getenv(insideVar) != "" || f.Nodes:
		testkit.Main(m)
	}
	runtime.LockOSThread() // qemu dies with this thread, which is the process's first
	code, err := host(f)
	var lacks *missing
	if errors.As(err, &lacks) {
		// The tests skip themselves, each with its name.
		if err := os.Setenv(missingVar, lacks.Error()); err == nil {
			testkit.Main(m)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL vmtest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Inside skips the test where there is no machine. It is the first call of every test: what such a test
// does to the network and to mounts is nothing for the host.
func Inside(t testing.TB) {
	t.Helper()
	if os.Getenv(insideVar) != "" {
		return
	}
	reason := os.Getenv(missingVar)
	if reason == "" {
		t.Fatal("not in a virtual machine: expected TestMain of this package to call vmtest.Main")
	}
	testkit.Skip(t, "vm", reason)
}

// A missing is what the host lacks to boot a machine.
type missing struct{ what string }

func (m *missing) Error() string { return m.what }

func lacking(format string, args ...any) error { return &missing{fmt.Sprintf(format, args...)} }
