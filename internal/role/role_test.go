package role

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-run/interlock/supervise"
)

// trivial are leaves without state worth naming that Go initialises before golang.org/x/sys/unix, the
// last thing that a role needs. Their inits take microseconds and pull in nothing.
func trivial(pkg string) bool {
	switch pkg {
	case "google.golang.org/grpc/internal/backoff", "google.golang.org/protobuf/internal/detrand",
		"google.golang.org/protobuf/internal/errors", "google.golang.org/protobuf/encoding/protowire":
		return true
	// Tables of checksums and of names of policies, 9 to 17 us each: imports of minio-go, whose own packages
	// (the client, its credentials) come after net and are still counted.
	case "github.com/minio/crc64nvme", "github.com/minio/md5-simd", "github.com/minio/minio-go/v7/pkg/policy":
		return true
	}
	return false
}

func heavy(pkg string) bool {
	for _, prefix := range []string{"google.golang.org/grpc", "google.golang.org/protobuf", "go.etcd.io/", "github.com/minio/", "net", "log/slog", "os/exec"} {
		if pkg == prefix || strings.HasPrefix(pkg, strings.TrimSuffix(prefix, "/")+"/") {
			return !trivial(pkg)
		}
	}
	return false
}

func build(t *testing.T, pkg string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "binary")
	if out, err := exec.Command("go", "build", "-o", binary, pkg).CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
	return binary
}

// inits runs a role until it ends by itself (it has no link to anybody) and lists what was initialised.
func inits(t *testing.T, binary string, argv ...string) (packages []string, out string) {
	t.Helper()
	cmd := exec.Cmd{Path: binary, Args: argv, Env: append(os.Environ(), "GODEBUG=inittrace=1")}
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	for _, line := range strings.Split(both.String(), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "init" {
			packages = append(packages, f[1])
		}
	}
	return packages, both.String()
}

// The roles must run before anything heavy is initialised, in a binary that has all of it.
func TestRolesRunBeforeHeavyPackages(t *testing.T) {
	for _, pkg := range []string{"./testdata/heavy", "../../cmd/interlock"} {
		binary := build(t, pkg)
		for _, argv0 := range []string{supervise.RoleGate, supervise.RoleInit, supervise.RoleProbe, supervise.RoleSpare} {
			t.Run(pkg+" "+argv0, func(t *testing.T) {
				packages, out := inits(t, binary, argv0, "x")
				if len(packages) == 0 {
					t.Fatalf("no init was traced: %s", out)
				}
				for _, p := range packages {
					if heavy(p) {
						t.Errorf("%s was initialised before role %s", p, argv0)
					}
				}
			})
		}
	}
}

// The guard's own trace ends where its agent's begins, with a second runtime.
func TestGuardRunsBeforeHeavyPackages(t *testing.T) {
	binary := build(t, "./testdata/heavy")
	packages, out := inits(t, binary, "heavy", "run")
	if !strings.Contains(out, "main ran") {
		t.Fatalf("the agent did not run: %s", out)
	}
	runtimes := 0
	for _, p := range packages {
		if p == "runtime" {
			runtimes++
		}
		if runtimes == 1 && heavy(p) {
			t.Errorf("%s was initialised before the guard", p)
		}
	}
	if runtimes != 2 {
		t.Errorf("%d processes were traced, expected guard and agent", runtimes)
	}
}

// A full program must not be dispatched, and a traced one must show heavy packages: else the tests
// above could not fail.
func TestFullProgramIsHeavy(t *testing.T) {
	packages, out := inits(t, build(t, "./testdata/heavy"), supervise.RoleAgent, "run")
	if !strings.Contains(out, "main ran") {
		t.Fatalf("main did not run: %s", out)
	}
	for _, p := range packages {
		if heavy(p) {
			return
		}
	}
	t.Error("nothing heavy was initialised in the full program: the test is blind")
}

func TestPanicBecomesInternalError(t *testing.T) {
	if code := guarded(func() int { panic("x") }); code != 70 {
		t.Errorf("code %d, expected 70", code)
	}
}
