// Package vault has the end-to-end tests of snapshots inside `interlock run`: the decision at a start,
// backups by schedule and at a stop, what a deposed holder can still do to the store, and databases that go
// through crash, failover to an empty directory and restore.
//
// Promise: the built binary, real lock services, a directory or a real S3 server as the store, Debian's own
// database servers. Non-promise: nothing is said of other object stores, or of how fast it is.
package vault

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/store/storetest"
	"github.com/interlock-run/interlock/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// limit bounds what takes a second or two on a machine that has nothing else to do.
const limit = 60 * time.Second

// A vault is one lock and one store, for nodes that share nothing else.
type vault struct {
	*scene.Scene
	url   string
	flags []string // by which any verb reaches the store
	env   []string
	s3    *testkit.S3Server // nil: a directory
	proxy *storetest.Proxy  // what jobs reach the server through
}

// inDirectory makes a vault with a repository in a directory.
func inDirectory(t testing.TB) *vault {
	t.Helper()
	s := scene.New(t)
	dir := filepath.Join(s.Dir, "store")
	must(t, os.Mkdir(dir, 0o755))
	v := &vault{Scene: s, url: "file://" + dir}
	v.flags = []string{"--store", v.url}
	v.init(t)
	return v
}

const bucket = "orders"

// inS3 makes a vault with a repository in a bucket, of a server of its own.
func inS3(t testing.TB) *vault {
	t.Helper()
	v := &vault{Scene: scene.New(t), s3: testkit.S3(t, testkit.S3Options{}), url: "s3://" + bucket + "/db"}
	v.s3.Bucket(t, bucket)
	v.proxy = storetest.NewProxy(t, storetest.Server{Endpoint: v.s3.Endpoint(), AccessKey: v.s3.AccessKey, SecretKey: v.s3.SecretKey, Region: v.s3.Region})
	v.env = v.s3.Env(v.Dir)
	v.flags = v.at(v.proxy.Endpoint())
	v.init(t)
	return v
}

// at are the flags of this bucket at an endpoint.
func (v *vault) at(endpoint string) []string {
	return v.s3.Flags(v.url, endpoint)
}

// direct are the flags that go past the proxy.
func (v *vault) direct() []string {
	if v.s3 == nil {
		return v.flags
	}
	return v.at(v.s3.Endpoint())
}

func (v *vault) init(t testing.TB) {
	t.Helper()
	if code, out := v.verb(t, "store", "init"); code != 0 {
		t.Fatalf("store init: %d: %s", code, out)
	}
}

// verb runs another verb on the store: exit code and all that it said.
func (v *vault) verb(t testing.TB, words ...string) (int, string) {
	t.Helper()
	p := v.command(t, append(words, v.direct()...)...)
	code := p.Wait(t, limit)
	return code, p.Stdout(t) + p.Stderr(t)
}

// command starts the program with any arguments.
func (v *vault) command(t testing.TB, args ...string) *testkit.Process {
	t.Helper()
	cmd := exec.Command(testkit.Binary(t), args...)
	cmd.Env = append(os.Environ(), v.env...)
	return testkit.StartCmd(t, cmd)
}

// snapshots are the IDs in the catalog.
func (v *vault) snapshots(t testing.TB) (ids []string) {
	t.Helper()
	code, out := v.verb(t, "snapshots")
	if code != 0 {
		t.Fatalf("snapshots: %d: %s", code, out)
	}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[0], "20") {
			ids = append(ids, f[0])
		}
	}
	return ids
}

// A node has a data directory and a state directory of its own.
type node struct {
	*scene.Scene
	v    *vault
	name string
}

func (v *vault) node(t testing.TB, name string) *node {
	t.Helper()
	s := *v.Scene
	dir := filepath.Join(v.Dir, name)
	s.Data, s.State = filepath.Join(dir, "data"), filepath.Join(dir, ".interlock")
	must(t, os.MkdirAll(s.Data, 0o777))
	return &node{&s, v, name}
}

// start begins a run on the store. Its flags may override those for it.
func (n *node) start(t testing.TB, options ...scene.Option) *scene.Job {
	t.Helper()
	all := []scene.Option{n.sleeper(), scene.Flags(n.v.flags...), scene.Flags("--restore-from", "store"), scene.Env(n.v.env...)}
	return n.Run(t, n.name, append(all, options...)...)
}

// sleeper is a payload that notes its token in the data and waits for the end.
func (n *node) sleeper() scene.Option {
	return scene.Command("sh", "-c", `echo $INTERLOCK_TOKEN >> "$0/tokens"; exec sleep 1000`, n.Data)
}

// serves starts a run and waits for it.
func (n *node) serves(t testing.TB, options ...scene.Option) *scene.Job {
	t.Helper()
	j := n.start(t, options...)
	n.noted(t, j)
	return j
}

// noted waits until the payload has written its token, and gives all that are there.
func (n *node) noted(t testing.TB, j *scene.Job) []string {
	t.Helper()
	token := j.WaitPhase(t, limit, "serving").Lock.Token
	var all []string
	testkit.Wait(t, limit, func() (bool, string) {
		all = n.tokens(t)
		return len(all) > 0 && all[len(all)-1] == token, "the payload's token is not in " + strings.Join(all, " ")
	})
	return all
}

func (n *node) tokens(t testing.TB) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(n.Data, "tokens"))
	if os.IsNotExist(err) {
		return nil
	}
	must(t, err)
	return strings.Fields(string(raw))
}

// firstStart fills the store: a first start, and one snapshot at its stop.
func (n *node) firstStart(t testing.TB) {
	t.Helper()
	j := n.serves(t, scene.Flags("--restore-on-empty", "start"), saving())
	if code := j.Stop(t); code != 143 {
		t.Fatalf("the first run ended with %d: %s", code, j.ReasonText())
	}
	if ids := n.v.snapshots(t); len(ids) != 1 {
		t.Fatalf("snapshots %v after the first run: expected one; log:\n%s", ids, j.Stderr(t))
	}
}

// saving is a run that takes a snapshot when it is stopped.
func saving() scene.Option { return scene.Flags("--backup-on-stop", "--backup-timeout", "20s") }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
