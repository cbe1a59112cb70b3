package vault

import (
	"math/rand/v2"
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

// seedVariable repeats a run of TestRandomKills.
const seedVariable = "INTERLOCK_TEST_SEED"

func seed(t testing.TB) uint64 {
	t.Helper()
	if s := os.Getenv(seedVariable); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		must(t, err)
		return n
	}
	return uint64(time.Now().UnixNano())
}

// Two nodes, one of which is sometimes new, and somebody is killed at a moment that nobody chose: whatever a
// start finds is whole, and so is the store.
func TestRandomKills(t *testing.T) {
	t.Parallel()
	rounds := 8
	if testkit.Long() {
		rounds = 40
	}
	s := seed(t)
	t.Logf("%s=%d", seedVariable, s)
	r := rand.New(rand.NewPCG(s, 1))
	v := inS3(t)
	v.flags = v.direct()
	nodes := []*node{v.node(t, "a"), v.node(t, "b")}
	nodes[0].fill(t)
	j := nodes[0].start(t, nodes[0].careful(), every("1s"))
	counts(t, serving(t, j), "published", 1)
	dies(t, j, j.Guard(t))
	for range rounds {
		n := nodes[r.IntN(2)]
		if r.IntN(3) == 0 {
			n.wipe(t)
		}
		j := n.start(t, n.careful(), every("1s"), scene.Flags("--restore-diverged", "replace"))
		wait(time.Duration(r.IntN(2500)) * time.Millisecond)
		n.hit(t, j, r)
	}
	for _, n := range append(nodes, v.node(t, "c")) {
		j := n.start(t, n.careful(), scene.Flags("--restore-diverged", "replace"))
		n.sound(t, j)
		j.Stop(t)
	}
	if code, out := v.verb(t, "verify", "--all"); code != 0 {
		t.Errorf("verify: %d: %s", code, out)
	}
}

// wipe makes a new node of it: nothing is left but what its payloads have found.
func (n *node) wipe(t testing.TB) {
	t.Helper()
	must(t, os.RemoveAll(n.State))
	must(t, os.RemoveAll(n.Data))
	must(t, os.Mkdir(n.Data, 0o777))
}

// hit kills somebody of a job, and sees to it that the job ends.
func (n *node) hit(t testing.TB, j *scene.Job, r *rand.Rand) {
	t.Helper()
	all := testkit.Descendants(j.Pid())
	victim := j.Pid() // the guard
	if i := r.IntN(len(all) + 1); i < len(all) {
		victim = all[i]
	}
	if r.IntN(2) == 0 { // once a courier is at work, be it to restore or to back up
		testkit.Poll(2*time.Second, func() (bool, string) {
			all := couriers(j)
			if len(all) > 0 {
				wait(time.Duration(r.IntN(60)) * time.Millisecond)
				victim = []int{all[0], victim}[r.IntN(2)]
			}
			return len(all) > 0, ""
		})
	}
	var tree testkit.Tree // once the guard is dead its members are children of this process
	select {
	case <-j.Exited():
	default:
		tree = testkit.Snapshot(t, j.Pid())
	}
	name, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(victim), "cmdline"))
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		t.Fatal(err)
	}
	t.Logf("killed %.60q (%v) of %s", name, err, n.name)
	wait(time.Duration(r.IntN(300)) * time.Millisecond)
	if err := syscall.Kill(j.Pid(), syscall.SIGTERM); err != nil && err != syscall.ESRCH {
		t.Fatal(err)
	}
	j.Wait(t, limit)
	testkit.Wait(t, limit, func() (bool, string) { return testkit.TreeGone(j.Pid()), "the job's tree is there" })
	tree.WaitGone(t, limit)
	for _, s := range n.found(t) {
		if strings.Contains(s, "BROKEN") {
			t.Fatalf("a payload found %q", s)
		}
	}
}

// wait lets time pass, which is what the test is about.
func wait(d time.Duration) { <-time.After(d) }
