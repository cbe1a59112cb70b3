package vmtest

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/testkit"
)

// HostAddr is the host's loopback as a machine of a family with Nodes sees it.
const HostAddr = "10.0.2.2"

// InNode tells whether this is the test that Start runs in a machine.
func InNode() bool { return os.Getenv(insideVar) != "" }

// Start boots a machine from a test on the host. It runs one test of this package, with env more in its
// environment, and its lines are the process's stdout. To kill the process is to kill the whole machine.
func Start(t testing.TB, f Family, test string, env ...string) *testkit.Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // a kernel may have to be fetched
	defer cancel()
	k, err := findKernel(ctx)
	skipWithout(t, err)
	root, err := image(ctx, f, k, []string{"-test.v", "-test.timeout=30m", "-test.run=^" + test + "$"}, env...)
	skipWithout(t, err)
	t.Cleanup(func() { _ = root.Close() }) // it has no name and nothing that is read later
	m, err := newMachine(f, k, root, 0, test)
	skipWithout(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			_ = m.lastWords() // for whoever reads the failure
		}
		_ = m.console.Close()
	})
	return testkit.StartCmd(t, m.cmd)
}

func skipWithout(t testing.TB, err error) {
	t.Helper()
	var lacks *missing
	if errors.As(err, &lacks) {
		testkit.Skip(t, "vm", lacks.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
}
