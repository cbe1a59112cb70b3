// Package foreign has the end-to-end tests beside other programs: the built binary, and the real etcdctl
// lock, kazoo and Curator, on one path of the real etcd and ZooKeeper. All run the payload that leaves the
// trace, so that one judge sees them all.
package foreign

import (
	"fmt"
	"path/filepath"
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

// A rig is a scene whose lock others use, too.
type rig struct {
	*scene.Scene
	server string // host:port
}

func fresh(t testing.TB, k kind) *rig {
	t.Helper()
	testkit.Binary(t)
	scene.PayloadBinary(t)
	compiled.Do(func() { compiled.path, compiled.err = compile() }) // now, not beside what is timed
	r := &rig{Scene: scene.New(t)}
	k.argv(t, r) // skips what is not there before anything is started
	scheme := "etcd"
	if k.zk {
		r.server, scheme = testkit.SharedZooKeeper(t).Addr(), "zk"
	} else {
		r.server = testkit.SharedEtcd(t).Addr()
	}
	r.Lock = scheme + "://" + r.server + "/foreign/" + filepath.Base(r.Dir)
	return r
}

// path is the lock as peers name it.
func (r *rig) path() string {
	scheme, rest, _ := strings.Cut(r.Lock, "://")
	_, path, _ := strings.Cut(rest, "/")
	if scheme == "zk" {
		return "/" + path
	}
	return path
}

func (r *rig) payload(t testing.TB) []string {
	return []string{scene.PayloadBinary(t), "-log", r.Trace}
}

func (r *rig) initialise(t testing.TB) {
	t.Helper()
	if code, _, errs := scene.Interlock(t, "lock", "init", "--foreign-peers", "--lock", r.Lock); code != 0 {
		t.Fatalf("lock init: %d: %s", code, errs)
	}
}

// run starts an interlock that permits foreign peers.
func (r *rig) run(t testing.TB, holder string, options ...scene.Option) *scene.Job {
	t.Helper()
	return r.Run(t, holder, append([]scene.Option{scene.Flags("--foreign-peers")}, options...)...)
}

// through is the same lock by another address, with files of its own.
func (r *rig) through(t testing.TB, addr string) (*rig, scene.Option) {
	t.Helper()
	s := *r.Scene
	s.Lock = strings.Replace(r.Lock, r.server, addr, 1)
	return &rig{&s, r.server}, scene.Flags("--state-dir", testkit.PublicDir(t))
}

// begun is the first moment of a job's payload, once it serves.
func (r *rig) begun(t testing.TB, j *scene.Job, limit time.Duration) time.Duration {
	t.Helper()
	token := j.WaitPhase(t, limit, "serving").Lock.Token
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

// queue are the keys of all contenders, of any kind, in order.
func (r *rig) queue(t testing.TB) []string {
	t.Helper()
	var v struct{ Queue []struct{ Key string } }
	r.ShowLock(t, &v)
	var keys []string
	for _, q := range v.Queue {
		keys = append(keys, q.Key)
	}
	return keys
}

// queued waits until there are n.
func (r *rig) queued(t testing.TB, n int) {
	t.Helper()
	testkit.Wait(t, 20*time.Second, func() (bool, string) {
		keys := r.queue(t)
		return len(keys) == n, fmt.Sprintf("in the queue: %q", keys)
	})
}

func stopped(t testing.TB, j *scene.Job) {
	t.Helper()
	if code := j.Stop(t); code != 0 {
		t.Errorf("%s ended with %d: %s", j.Holder, code, j.ReasonText())
	}
}

// killBoth kills guard and agent at once, and gives the moment before.
func killBoth(t testing.TB, j *scene.Job) time.Duration {
	t.Helper()
	agent := j.Agent(t)
	at := scene.Now()
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		for _, pid := range []int{agent, j.Pid()} {
			scene.Kill(t, pid, sig)
		}
	}
	return at
}

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
