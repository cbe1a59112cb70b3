package locks

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// crashed puts the record of a holder on another machine that nobody has heard of since just now.
func (r *rig) crashed(t testing.TB, wait time.Duration, node string) {
	t.Helper()
	r.PutRecord(t, fmt.Sprintf(`{"v":1,"token":"1","holder":"old","node":%q,"boot_id":"another","phase":"running","wait_ms":%d,"settle_ms":0,"volumes":["filer:/x /srv/x"],"at":"2026-01-01T00:00:00Z"}`, node, wait.Milliseconds()))
}

// agent is a fence script that writes down what it was told, and answers as the test wants.
func agent(t testing.TB, s *scene.Scene, status int) (path, told string) {
	t.Helper()
	path, told = filepath.Join(s.Dir, "fence.sh"), filepath.Join(s.Dir, "told")
	script := fmt.Sprintf("#!/bin/sh\nIN=$(cat)\n{ echo \"$# arguments\"; echo \"$IN\"; env | grep ^INTERLOCK_ ; } >>%s\ncase \"$IN\" in *action=status*) exit %d;; *action=metadata*) exit 1;; esac\n", told, status)
	testkit.WriteProgram(t, path, script)
	return path, told
}

// A confirmed off of the old holder's node ends the hold-off; a failed one does not shorten it (T6).
func TestFencedTakeOver(t *testing.T) {
	const wait = 12 * time.Second
	for name, status := range map[string]int{"confirmed": 2, "still on": 0} {
		t.Run(name, func(t *testing.T) {
			remote(t, func(t *testing.T, b backend) {
				r := b.fresh(t, "")
				r.crashed(t, wait, "rack-7")
				path, told := agent(t, r.Scene, status)
				began := scene.Now()
				a := r.Run(t, "a", scene.Flags("--fence-agent", path))
				_, at := r.serves(t, a, 40*time.Second)
				st, err := a.Status()
				must(t, err)
				says(t, st.Lock.Fencing, "rack-7", map[int]string{2: "confirmed to be off", 0: "is waited out"}[status])
				if status == 2 {
					atMost(t, "start after a confirmed fence", at-began, wait-2*time.Second)
				} else {
					atLeast(t, "start after a failed fence", at-began, wait)
				}
				said := readFile(t, told)
				says(t, said, "0 arguments", "action=off", "action=status", "port=rack-7", "INTERLOCK_FENCE_NODE=rack-7",
					"INTERLOCK_FENCE_BOOT_ID=another", "INTERLOCK_FENCE_TOKEN=1", "INTERLOCK_FENCE_VOLUMES=filer:/x /srv/x",
					"INTERLOCK_HOLDER=a", "INTERLOCK_TOKEN="+r.read(t).Token)
				if rec := r.read(t); rec.Phase != "running" || len(rec.Owes) != 1-status/2 {
					t.Errorf("the record is %+v: expected the undrained holder in it only if it was not fenced", rec)
				}
				stopped(t, a)
				if rec := r.read(t); (rec.Phase == "drained") != (status == 2) {
					t.Errorf("at the end the record is %+v", rec)
				}
				r.Judge(t)
			})
		})
	}
}

// A fence agent ends with the one that started it, however that ends, and so does what it has started itself: a late
// off would be nobody's.
func TestFenceAgentDiesWithUs(t *testing.T) {
	t.Parallel()
	r := etcdBackend().fresh(t, "")
	r.crashed(t, 30*time.Second, "rack-7")
	path, pids := filepath.Join(r.Dir, "fence.sh"), filepath.Join(r.Dir, "pids")
	testkit.WriteProgram(t, path, fmt.Sprintf("#!/bin/sh\ngrep -q action=metadata && exit 1\nsleep 1000 &\none=$!\nsetsid sleep 1000 &\necho $$ $one $! >%[1]s.new && mv %[1]s.new %[1]s\nsleep 1000\n", pids))
	a := r.Run(t, "a", scene.Flags("--fence-agent", path))
	testkit.Wait(t, 30*time.Second, func() (bool, string) {
		_, err := os.Stat(pids)
		return err == nil, "the fence agent has not begun"
	})
	must(t, syscall.Kill(a.Agent(t), syscall.SIGKILL))
	for _, word := range strings.Fields(readFile(t, pids)) {
		pid, err := strconv.Atoi(word)
		must(t, err)
		testkit.Wait(t, 30*time.Second, func() (bool, string) {
			// Dead is enough: whose parents end before it is reaped is handed on to this process, which leaves it a zombie.
			return testkit.TreeGone(pid), fmt.Sprintf("process %d of the fence agent goes on", pid)
		})
	}
	a.Wait(t, 10*time.Second)
}

// An agent that cannot work is refused before anything begins.
func TestUnusableAgent(t *testing.T) {
	t.Parallel()
	r := etcdBackend().fresh(t, "")
	path, _ := agent(t, r.Scene, 2)
	open := filepath.Join(r.Dir, "options")
	must(t, os.WriteFile(open, []byte("passwd=x\n"), 0o600))
	must(t, os.Chmod(open, 0o644))
	for name, flags := range map[string][]string{
		"missing": {"--fence-agent", "/nowhere/agent"}, "readable by all": {"--fence-agent", path, "--fence-options-file", open},
	} {
		t.Run(name, func(t *testing.T) {
			j := r.Run(t, strings.ReplaceAll(name, " ", "-"), scene.Flags(flags...))
			j.Expect(t, 20*time.Second, 78)
			if keys := r.Keys(t); len(keys) != 0 {
				t.Errorf("keys %v", keys)
			}
		})
	}
}

// What an operator says of a crashed holder, on the real services.
func TestClear(t *testing.T) {
	remote(t, func(t *testing.T, b backend) {
		r := b.fresh(t, "")
		r.crashed(t, 10*time.Minute, "rack-7")
		max := []string{"--hold-max", "10m"}
		clear := func(want int, args ...string) string {
			t.Helper()
			code, out, errs := scene.Interlock(t, append(append([]string{"lock", "clear", "--lock", r.Lock}, max...), args...)...)
			if code != want {
				t.Errorf("lock clear %v: %d %s%s, expected %d", args, code, out, errs, want)
			}
			return out + errs
		}
		before, _ := r.Record(t)
		clear(64)
		says(t, clear(64, "--fenced", "rack-8", "--yes"), "rack-7")
		says(t, clear(64, "--fenced", "rack-7"), "old", "rack-7", "token 1", "2026-01-01T00:00:00Z", "not confirmed") // nobody types
		if now, _ := r.Record(t); now != before {
			t.Errorf("refused, and yet the record is %s", now)
		}
		a := r.Run(t, "a", scene.Flags(max...))
		a.WaitPhase(t, 20*time.Second, "holding-off")
		says(t, clear(75, "--fenced", "rack-7", "--yes"), "a holds it")
		stopped143(t, a)
		r.queued(t, 0)
		// The contender that ended in its hold-off left its own word: it is the record's writer now, and counts.
		says(t, clear(64, "--fenced", "rack-7", "--yes"), "still missing")
		r.crashed(t, 10*time.Minute, "rack-7")
		says(t, clear(0, "--fenced", "rack-7", "--yes"), "cleared")
		if rec := r.read(t); rec.Phase != "drained" || len(rec.Owes) != 0 {
			t.Errorf("the record is %+v", rec)
		}
		says(t, clear(0, "--fenced", "rack-7", "--yes"), "nothing to clear")
		next := r.Run(t, "b")
		r.serves(t, next, 10*time.Second)
		stopped(t, next)
	})
}

// On a file there is one machine, which is up: it cannot have been fenced.
func TestClearOfThisBoot(t *testing.T) {
	t.Parallel()
	r := fileBackend().fresh(t, "")
	r.initialise(t)
	a := r.Run(t, "a", scene.Flags("--fence-node", "here"))
	r.serves(t, a, 10*time.Second)
	says(t, clearFile(t, r, 75), "a holds it")
	killBoth(t, a)
	testkit.Wait(t, 10*time.Second, func() (bool, string) { return len(r.Keys(t)) == 0, "the lock is held" })
	says(t, clearFile(t, r, 64), "this very machine")
	if rec := r.read(t); rec.Phase != "running" {
		t.Errorf("the record is %+v", rec)
	}
}

func clearFile(t testing.TB, r *rig, want int) string {
	t.Helper()
	code, out, errs := scene.Interlock(t, "lock", "clear", "--lock", r.Lock, "--fenced", "here", "--yes")
	if code != want {
		t.Errorf("lock clear: %d, expected %d: %s%s", code, want, out, errs)
	}
	return out + errs
}

func stopped143(t testing.TB, j *scene.Job) {
	t.Helper()
	if code := j.Stop(t); code != 143 {
		t.Errorf("%s ended with %d: %s", j.Holder, code, j.ReasonText())
	}
}
