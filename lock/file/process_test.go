package file

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/lock"
)

// rival awaits the lock in this process.
type rival struct {
	t      *testing.T
	place  *place
	result chan error
}

func newRival(t *testing.T, path string) *rival {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	p, err := joinedPlace(ctx, path, "rival")
	must(t, err)
	r := &rival{t: t, place: p, result: make(chan error, 1)}
	go func() { r.result <- p.Await(ctx, func(lock.Version, clock.Stamp) {}) }()
	t.Cleanup(func() {
		cancel()
		must(t, p.Leave(context.Background())) // waits for Await
	})
	return r
}

func (r *rival) mustWait(why string) {
	r.t.Helper()
	select {
	case err := <-r.result:
		r.t.Fatalf("the rival's Await returned (%v) %s", err, why)
	case <-time.After(300 * time.Millisecond):
	}
}

func (r *rival) mustBeGranted(why string) {
	r.t.Helper()
	select {
	case err := <-r.result:
		must(r.t, err)
	case <-time.After(10 * time.Second):
		r.t.Fatalf("the rival was not granted %s", why)
	}
}

// A holder that is killed frees the lock, and has used up its token though it never said a word.
func TestKilledHolderFrees(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	holder := start(t, "hold", nil, path)
	if token := holder.says("token"); token != "1" {
		t.Fatalf("the first token is %s, expected 1", token)
	}
	r := newRival(t, path)
	r.mustWait("while the holder lives")
	holder.kill()
	r.mustBeGranted("after the holder was killed")
	if r.place.RawToken() != 2 {
		t.Fatalf("the rival has token %d, expected 2", r.place.RawToken())
	}
	got, err := r.place.Read(context.Background())
	must(t, err)
	if string(got.Data) != "running" {
		t.Fatalf("the record is %q, expected the killed holder's", got.Data)
	}
}

// startShared starts a holder and its child.
func startShared(t *testing.T, path string, pass bool) (*started, int) {
	t.Helper()
	parent := start(t, "share", func(c *exec.Cmd) {
		if pass {
			c.Env = append(c.Env, "PASS=1")
		}
	}, path)
	child, err := strconv.Atoi(parent.says("child"))
	must(t, err)
	return parent, child
}

// Two processes with one open file description: the death of one frees nothing, of both the lock.
func TestSharedDescription(t *testing.T) {
	for _, first := range []string{"parent", "child"} {
		t.Run(first+" dies first", func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			parent, child := startShared(t, path, true)
			r := newRival(t, path)
			if first == "parent" {
				parent.kill()
			} else {
				killPid(t, child)
			}
			r.mustWait("though the other one has the descriptor")
			if first == "parent" {
				killPid(t, child)
			} else {
				parent.kill()
			}
			r.mustBeGranted("after both died")
		})
	}
}

// A child that was given nothing does not keep the lock of a dead holder: the descriptor is
// close-on-exec.
func TestChildInheritsNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	parent, child := startShared(t, path, false)
	r := newRival(t, path)
	r.mustWait("while the holder lives")
	parent.kill()
	r.mustBeGranted("after the holder died, though its child lives")
	killPid(t, child)
}

// Twenty processes that create, take and release one lock at once lose no addition, and each has a
// token of its own.
func TestTwentyProcesses(t *testing.T) {
	dir := t.TempDir()
	number := filepath.Join(dir, "number")
	must(t, os.WriteFile(number, []byte("0"), 0o600))
	var all []*started
	for range 20 {
		all = append(all, start(t, "count", nil, filepath.Join(dir, "lock"), number))
	}
	for _, p := range all {
		must(t, p.stdin.Close())
	}
	tokens := map[string]bool{}
	for _, p := range all {
		tokens[p.says("token")] = true
	}
	text, err := os.ReadFile(number)
	must(t, err)
	if string(text) != "20" || len(tokens) != 20 {
		t.Fatalf("the number is %s with %d tokens, expected 20 of each", text, len(tokens))
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	must(t, err)
	if len(left) != 0 {
		t.Fatalf("left behind: %v", left)
	}
}
