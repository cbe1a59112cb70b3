package foreign

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/e2e/scene"
	"github.com/interlock-run/interlock/internal/testkit"
)

// A peer gets the lock from the server alone: however we lose it, our payload is dead before that. It
// ignores TERM; the guard stopped or the agent stopped, the other one kills.
func TestDeadBeforeThePeer(t *testing.T) {
	t.Parallel()
	for _, k := range []kind{kinds()[0], kinds()[1], kinds()[3]} {
		for _, f := range []struct {
			name string
			do   func(t testing.TB, j *scene.Job, p *testkit.Proxy)
		}{
			{"cut", func(_ testing.TB, _ *scene.Job, p *testkit.Proxy) { p.Hang() }},
			{"cut-agent-stopped", func(t testing.TB, j *scene.Job, p *testkit.Proxy) {
				scene.Kill(t, j.Agent(t), syscall.SIGSTOP)
				p.Hang()
			}},
			{"cut-guard-stopped", func(t testing.TB, j *scene.Job, p *testkit.Proxy) {
				scene.Kill(t, j.Pid(), syscall.SIGSTOP)
				p.Hang()
			}},
			{"both-killed", func(t testing.TB, j *scene.Job, _ *testkit.Proxy) { killBoth(t, j) }},
		} {
			if k.name == "curator" && f.name != "cut" {
				continue // a JVM each; the way of losing makes no difference to a peer
			}
			t.Run(k.name+"/"+f.name, func(t *testing.T) {
				t.Parallel()
				deadBefore(t, k, f.do)
			})
		}
	}
}

// deadBefore is played anew where the machine stood still for so long that our holder lost its lease before the
// fault: that shows nothing.
func deadBefore(t *testing.T, k kind, fault func(testing.TB, *scene.Job, *testkit.Proxy)) {
	for range 5 {
		if played(t, k, fault) {
			return
		}
		t.Log("our holder lost its lease before the fault")
	}
	t.Error("our holder lost its lease before the fault each time")
}

func played(t *testing.T, k kind, fault func(testing.TB, *scene.Job, *testkit.Proxy)) bool {
	r := fresh(t, k)
	r.initialise(t)
	proxy := testkit.NewProxy(t, r.server)
	far, own := r.through(t, proxy.Addr())
	a := far.run(t, "a", own, r.Payload(t, "-ignore-term"))
	if !living(t, a, func() bool { return r.Count(t, "begin") > 0 }) {
		return false
	}
	<-time.After(scene.Hold / 2) // into its ordinary life
	p := r.peer(t, k)
	if !living(t, a, func() bool { return len(r.queue(t)) == 2 }) {
		p.begins(t, 60*time.Second)
		p.ends(t)
		return false
	}
	at := scene.Now()
	fault(t, a, proxy)
	got := p.begins(t, scene.Hold+20*time.Second)
	order := r.Judge(t)
	if len(order) != 2 {
		t.Fatalf("tenures %v, expected ours and the peer's", order)
	}
	last := r.Last(t, order[0])
	atMost(t, "from the fault to our payload's death", last-at, scene.Hold)
	atLeast(t, "from the fault to the peer's start", got-at, scene.Hold/3)
	t.Logf("our payload died %v after the fault, the peer's began %v later", last-at, got-last)
	p.ends(t)
	return true
}

// living waits for a job to come this far; false: it ended before.
func living(t testing.TB, j *scene.Job, done func() bool) (lives bool) {
	t.Helper()
	testkit.Wait(t, 60*time.Second, func() (bool, string) {
		select {
		case <-j.Exited():
			return true, ""
		default:
			lives = done()
			return lives, j.Holder + " does not come this far"
		}
	})
	return lives
}

// A key that an operator removes: the peer has the lock at that moment, so we kill without any grace.
func TestKeyRemovedKillsAtOnce(t *testing.T) {
	t.Parallel()
	k := kinds()[0]
	r := fresh(t, k)
	r.Timing[slices.Index(r.Timing, "--grace")+1] = "2s"
	r.Timing[slices.Index(r.Timing, "--hold")+1] = "9s"
	r.initialise(t)
	a := r.run(t, "a", r.Payload(t, "-ignore-term"))
	r.begun(t, a, 10*time.Second)
	out, err := testkit.SharedEtcd(t).Ctl("del", "--prefix", r.path()+"/")
	if err != nil {
		t.Fatal(err, out)
	}
	gone := scene.Now()
	a.Expect(t, 10*time.Second, 76)
	atMost(t, "from the removal to the payload's death", r.Last(t, r.Judge(t)[0])-gone, time.Second)
}
