// Package locks has the end-to-end tests of the lock: the built binary against the real etcd, the real
// ZooKeeper and the file lock, watched from outside alone, and the service itself by its own tools.
package locks

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// TestMain lets more tests run side by side than there are processors: they wait for most of their time.
func TestMain(m *testing.M) { testkit.MainWaiting(m, 6) }

// A service is the lock as its own tools see it.
type service interface {
	Record(t testing.TB) (data string, exists bool)
	PutRecord(t testing.TB, data string)
	RemoveRecord(t testing.TB)
	Keys(t testing.TB) []string // of the queue, in order
	RemoveKey(t testing.TB, key string)
}

// A rig is a scene whose lock lies on one of the services.
type rig struct {
	*scene.Scene
	service
}

// A backend is one kind of lock service. Fresh gives a lock that nobody used before; addr replaces the
// address of the shared server, for a proxy or a server of the test's own.
type backend struct {
	name  string
	fresh func(t testing.TB, addr string) *rig
	addr  func(t testing.TB) string // of the shared server
}

func etcdBackend() backend {
	return backend{"etcd", func(t testing.TB, addr string) *rig {
		s := testkit.SharedEtcd(t)
		return onEtcd(t, s, orString(addr, s.Addr()))
	}, func(t testing.TB) string { return testkit.SharedEtcd(t).Addr() }}
}

func zkBackend() backend {
	return backend{"zk", func(t testing.TB, addr string) *rig {
		s := testkit.SharedZooKeeper(t)
		return onZooKeeper(t, s, orString(addr, s.Addr()))
	}, func(t testing.TB) string { return testkit.SharedZooKeeper(t).Addr() }}
}

func fileBackend() backend {
	return backend{name: "file", fresh: func(t testing.TB, _ string) *rig {
		s := newScene(t)
		return &rig{s, fileService{s}}
	}}
}

// each runs a test for every backend, remote for those with a server.
func each(t *testing.T, test func(t *testing.T, b backend)) {
	run(t, test, etcdBackend(), zkBackend(), fileBackend())
}

func remote(t *testing.T, test func(t *testing.T, b backend)) {
	run(t, test, etcdBackend(), zkBackend())
}

func run(t *testing.T, test func(t *testing.T, b backend), backends ...backend) {
	t.Parallel()
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			test(t, b)
		})
	}
}

// newScene builds what is needed first, so that no test measures a compiler.
func newScene(t testing.TB) *scene.Scene {
	t.Helper()
	testkit.Binary(t)
	scene.PayloadBinary(t)
	return scene.New(t)
}

func orString(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// timing is the quick timing with some flags at other values.
func timing(flags ...string) []string {
	all := scene.Quick()
	for i := 0; i < len(flags); i += 2 {
		at := slices.Index(all, flags[i])
		if at < 0 {
			all = append(all, flags[i], flags[i+1])
			continue
		}
		all[at+1] = flags[i+1]
	}
	return all
}

// initialise makes the state record, so that the first start does not wait the hold.
func (r *rig) initialise(t testing.TB, flags ...string) {
	t.Helper()
	if code, _, errs := scene.Interlock(t, append([]string{"lock", "init", "--lock", r.Lock}, flags...)...); code != 0 {
		t.Fatalf("lock init: %d: %s", code, errs)
	}
}

// queued waits until n keys are in the queue.
func (r *rig) queued(t testing.TB, n int) []string {
	t.Helper()
	var keys []string
	testkit.Wait(t, 20*time.Second, func() (bool, string) {
		keys = r.Keys(t)
		return len(keys) == n, "in the queue: " + strings.Join(keys, " ")
	})
	return keys
}

// begun waits for the payload of a tenure and gives its first moment.
func (r *rig) begun(t testing.TB, token string) time.Duration {
	t.Helper()
	var at time.Duration
	testkit.Wait(t, 10*time.Second, func() (bool, string) {
		for _, l := range r.Lines(t) {
			if strconv.FormatUint(l.Token, 10) == token {
				at = l.At
				return true, ""
			}
		}
		return false, "no payload with token " + token
	})
	return at
}

// serves waits until the job serves and its payload has left a trace: token and first moment.
func (r *rig) serves(t testing.TB, j *scene.Job, limit time.Duration) (token string, at time.Duration) {
	t.Helper()
	token = j.WaitPhase(t, limit, "serving").Lock.Token
	return token, r.begun(t, token)
}

// last is the last moment of a tenure's payload.
func (r *rig) last(t testing.TB, token string) time.Duration {
	t.Helper()
	n, err := strconv.ParseUint(token, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return r.Last(t, n)
}

// stopped stops a job in good order.
func stopped(t testing.TB, j *scene.Job) {
	t.Helper()
	if code := j.Stop(t); code != 0 {
		t.Errorf("%s ended with %d: %s", j.Holder, code, j.ReasonText())
	}
}

// killBoth kills guard and agent of a job at once, and gives the moment before. Both are stopped first: the
// survivor of the moment in between would know what to do.
func killBoth(t testing.TB, j *scene.Job) time.Duration {
	t.Helper()
	agent := j.Agent(t)
	at := scene.Now()
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		for _, pid := range []int{agent, j.Pid()} {
			if err := syscall.Kill(pid, sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	j.Wait(t, 5*time.Second)
	return at
}

// atLeast and atMost compare a span with what protocol.md says.
func atLeast(t testing.TB, what string, got, want time.Duration) {
	t.Helper()
	if got < want {
		t.Errorf("%s: %v, expected %v at least", what, got, want)
	}
}

func atMost(t testing.TB, what string, got, want time.Duration) {
	t.Helper()
	if busy := testkit.Busy(t); got > want+busy {
		t.Errorf("%s: %v, expected %v at most, and %v more for what else this machine does", what, got, want, busy)
	}
}

func says(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q does not say %q", text, p)
		}
	}
}

func lockNameOf(s *scene.Scene) string { return filepath.Base(s.Dir) }
