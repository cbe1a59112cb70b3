// Package warm has the end-to-end tests of warming a cache: the verbs, and a run that fills its memcached before
// it is ready.
//
// Promise: the built binary, Debian's memcached, a directory or a real S3 server as the store. Non-promise:
// nothing is said of how fast it is, or of what memcached itself keeps.
package warm

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
	"github.com/interlock-run/interlock/warm/memcached"
	"github.com/interlock-run/interlock/warm/warmtest"
)

func TestMain(m *testing.M) { testkit.MainWaiting(m, 8) }

// limit bounds what takes seconds on a machine that has nothing else to do.
const limit = 90 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A depot is a store and how verbs reach it.
type depot struct {
	dir     string
	flags   []string
	env     []string
	scratch string
	binary  func(testing.TB) string // nil: the one that is shipped
}

// broken is the same for a binary that is killed or stopped at a point, such as warm:part#2=kill.
func (d *depot) broken(at string) *depot {
	b := *d
	b.binary, b.env = testkit.BreakpointBinary, append(slices.Clone(d.env), "BREAKPOINT="+at)
	return &b
}

func (d *depot) program(t testing.TB) string {
	t.Helper()
	if d.binary == nil {
		return testkit.Binary(t)
	}
	return d.binary(t)
}

func inDirectory(t testing.TB) *depot {
	t.Helper()
	d := newDepot(t)
	d.want(t, 0, "store", "init")
	return d
}

func newDepot(t testing.TB) *depot {
	t.Helper()
	dir := testkit.PublicDir(t)
	d := &depot{dir: dir, scratch: filepath.Join(dir, "scratch"), flags: []string{"--store", "file://" + filepath.Join(dir, "store")}}
	must(t, errors.Join(os.Mkdir(filepath.Join(dir, "store"), 0o755), os.Mkdir(d.scratch, 0o700)))
	return d
}

// encrypted is a store whose content only an identity opens.
func encrypted(t testing.TB) *depot {
	t.Helper()
	d := newDepot(t)
	id, err := age.GenerateX25519Identity()
	must(t, err)
	file := filepath.Join(d.dir, "identity")
	must(t, os.WriteFile(file, []byte(id.String()+"\n"), 0o600))
	d.want(t, 0, "store", "init", "--recipient", id.Recipient().String())
	d.env = []string{"INTERLOCK_STORE_IDENTITY_FILE=" + file}
	return d
}

func inS3(t testing.TB) *depot {
	t.Helper()
	return onS3(t, testkit.S3(t, testkit.S3Options{}))
}

func onS3(t testing.TB, s *testkit.S3Server) *depot {
	t.Helper()
	d := newDepot(t)
	s.Bucket(t, "caches")
	d.flags = []string{"--store", "s3://caches/one", "--store-endpoint", s.Endpoint(), "--store-region", s.Region, "--store-path-style"}
	d.env = []string{"AWS_ACCESS_KEY_ID=" + s.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey, "AWS_SESSION_TOKEN=",
		"HOME=" + d.dir, "AWS_EC2_METADATA_DISABLED=true"}
	d.want(t, 0, "store", "init")
	return d
}

// start begins a verb.
func (d *depot) start(t testing.TB, words ...string) *testkit.Process {
	t.Helper()
	cmd := exec.Command(d.program(t), append(words, d.flags...)...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "INTERLOCK_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, d.env...)
	return testkit.StartCmd(t, cmd)
}

// want runs a verb to its end, and gives its stdout.
func (d *depot) want(t testing.TB, code int, words ...string) string {
	t.Helper()
	p, patience := d.start(t, words...), limit
	if testkit.Long() {
		patience = 20 * limit // a million items beside other work
	}
	if got := p.Wait(t, patience); got != code {
		t.Fatalf("%q: %d, want %d: %s%s", words, got, code, p.Stdout(t), p.Stderr(t))
	}
	return p.Stdout(t)
}

// dump publishes what a server holds.
func (d *depot) dump(t testing.TB, server string, more ...string) {
	t.Helper()
	d.want(t, 0, append([]string{"warm", "dump", "--memcached", server, "--scratch", d.scratch, "--budget-rate", "1000000"}, more...)...)
}

// snapshots counts those that are published.
func (d *depot) snapshots(t testing.TB) int {
	t.Helper()
	var list struct{ Snapshots []struct{ ID string } }
	must(t, json.Unmarshal([]byte(d.want(t, 0, "snapshots", "--json")), &list))
	return len(list.Snapshots)
}

// result is the last line of a verb's --json.
func result[T any](t testing.TB, out string) (r T) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var line struct{ Result T }
	must(t, json.Unmarshal([]byte(lines[len(lines)-1]), &line))
	return line.Result
}

// filled is a server with n mixed items.
func filled(t testing.TB, n int) *testkit.MemcachedServer {
	t.Helper()
	kit := testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: roomy(n)})
	warmtest.Fill(t, warmtest.Server(t, kit.Addr()), n, warmtest.Mixed)
	return kit
}

// roomy is megabytes that n mixed items surely fit into.
func roomy(n int) int { return 128 + n/700 }

func fresh(t testing.TB) *testkit.MemcachedServer {
	t.Helper()
	return testkit.Memcached(t, testkit.MemcachedOptions{Megabytes: 128})
}

// same wants all n items of one server in another, with values, flags and lifetimes.
func same(t testing.TB, a, b string, n int) {
	t.Helper()
	if have := warmtest.Same(t, warmtest.Server(t, a), warmtest.Server(t, b), n, warmtest.Mixed); have != n {
		t.Errorf("%d items of %d", have, n)
	}
}

func items(t testing.TB, server string) int64 {
	t.Helper()
	c, err := memcached.Dial(t.Context(), warmtest.Server(t, server), memcached.Options{})
	if err != nil {
		return -1
	}
	defer c.Close()
	st, err := c.State()
	must(t, err)
	return st.Items
}

// A service is a run whose payload is a memcached on a socket.
type service struct {
	*scene.Scene
	d      *depot
	socket string
	extra  []string // arguments of memcached
}

func newService(t testing.TB, d *depot) *service {
	t.Helper()
	if _, err := exec.LookPath("memcached"); err != nil {
		testkit.Skip(t, "memcached", "memcached is not there")
	}
	s := scene.New(t)
	return &service{Scene: s, d: d, socket: filepath.Join(s.Dir, "m")}
}

func (s *service) start(t testing.TB, flags ...string) *scene.Job {
	t.Helper()
	argv := []string{"memcached", "-U", "0", "-m", "128", "-s", s.socket, "-a", "700"}
	if os.Geteuid() == 0 {
		argv = append(argv, "-u", "root")
	}
	argv = append(argv, s.extra...)
	flags = append(append([]string{"--warm-memcached", s.socket}, s.d.flags...), flags...)
	binary := scene.Wrapped(func(t testing.TB, args ...string) []string { args[0] = s.d.program(t); return args })
	return s.Run(t, "cache", scene.Command(argv...), scene.Flags(flags...), scene.Env(s.d.env...), binary)
}

// warming is what tests read of the status page.
type warming struct {
	Result   string
	Fraction float64
	Failure  string
	Load     struct {
		Loaded  int64
		Kept    int64
		Stopped string
	}
}

func statusOf(t testing.TB, j *scene.Job) warming {
	t.Helper()
	_, body, err := j.Get("/status")
	must(t, err)
	var st struct{ Warming warming }
	must(t, json.Unmarshal([]byte(body), &st))
	return st.Warming
}
