package suite

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/chaos/field"
	"github.com/interlock-run/interlock/internal/chaos/judge"
	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// short is the selection of `make test`: each is one way in which two holders would overlap if a rule of
// docs/protocol.md were missing.
func short() []string {
	return []string{"kill-both", "agent-stopped-and-removed", "cut-replies", "chain", "stop-guard", "cut-and-removed",
		"remove-record", "stall", "server-stop-majority", "release-reply-lost", "mesos-kill", "kill-agent", "chain-removed", "cut-at-takeover", "init-over-live"}
}

// TestShort breaks both services in fixed ways, side by side.
func TestShort(t *testing.T) {
	o := prepare(t)
	o.Interlock = testkit.Binary(t)
	for _, backend := range []string{"etcd", "zk"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			need(t, backend)
			o := o
			o.Backend, o.Dir = backend, t.TempDir()
			r := run(t, Options{Field: o, From: 7, N: len(short()), Faults: short(), Each: true})
			if r.Red() || len(r.Done) != len(short()) {
				t.Errorf("%d of %d done; violations and dead ends as printed above", len(r.Done), len(short()))
			}
			if r.Verdict.Margins.N < 3 {
				t.Errorf("%d tenures followed another: the faults hit nobody", r.Verdict.Margins.N)
			}
		})
	}
}

// TestCanFail runs it against a program that starts the payload without asking anybody: a suite that stays
// green then would prove nothing.
func TestCanFail(t *testing.T) {
	need(t, "etcd")
	o := prepare(t)
	o.Backend, o.Dir, o.Interlock = "etcd", t.TempDir(), reckless(t)
	r := run(t, Options{Field: o, From: 1, N: 1, Faults: []string{"term"}})
	kinds := map[judge.Kind]bool{}
	for _, v := range r.Verdict.Violations {
		kinds[v.Kind] = true
	}
	if !r.Red() || !kinds[judge.Overlap] || !kinds[judge.Late] {
		t.Errorf("three payloads at once are judged as %v", r.Verdict.Violations)
	}
	if r.Register.Rejects == 0 {
		t.Error("the register refused nobody")
	}
}

// reckless is an interlock that does not lock; its tokens do rise.
func reckless(t *testing.T) string {
	t.Helper()
	path := filepath.Join(testkit.PublicDir(t), "reckless")
	script := `#!/bin/sh
[ "$1" = run ] || exit 0
while [ "$1" != -- ]; do shift; done
shift
INTERLOCK_TOKEN=$(date +%s%N) exec "$@"
`
	testkit.WriteProgram(t, path, script)
	return path
}

// prepare builds the payload before any field is there: a field takes the remains of strangers away.
func prepare(t *testing.T) field.Options {
	t.Helper()
	testkit.RequireRoot(t)
	root, err := testkit.ModuleRoot()
	must(t, err)
	payload := filepath.Join(testkit.PublicDir(t), "payload")
	cmd := exec.Command("go", "build", "-o", payload, "./internal/chaos/payload")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the payload: %v: %s", err, out)
	}
	return field.Options{Payload: payload, Timing: field.Quick(), Family: field.NewFamily()}
}

func need(t *testing.T, backend string) {
	t.Helper()
	tool := map[string]string{"etcd": "etcd", "zk": "java"}[backend]
	if _, err := exec.LookPath(tool); err != nil {
		testkit.Skip(t, map[string]string{"etcd": "etcd", "zk": "zookeeper"}[backend], tool+" is not installed")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		testkit.Skip(t, "tun", err.Error())
	}
}

// run runs the suite and prints what it says where the test failed.
func run(t *testing.T, o Options) Result {
	t.Helper()
	var said strings.Builder
	o.Say = &said
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	r, err := Run(ctx, o)
	if perr := r.Print(&said); perr != nil {
		t.Error(perr)
	}
	t.Log(said.String())
	must(t, err)
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
