package lifecycle

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/mountcheck/drain"
	"github.com/interlock-run/interlock/mountcheck/rescue"
	"github.com/interlock-run/interlock/supervise"
)

// stuckRun is a run whose payload does not die before the test says so; its reports are as the guard's.
func stuckRun(t *testing.T, states map[string][]drain.State, prepare func(*Plan, *scriptedGround)) (x *run, g *scriptedGround, dies func()) {
	t.Helper()
	x, g = grounded(t, states, func(p *Plan, x *run, g *scriptedGround) {
		x.guard.onKill = func() bool { return true }
		for path := range states {
			m := mountcheck.Mount{Point: path}
			g.levers[path] = []rescue.Lever{{Kind: rescue.Force, Mount: m}, {Kind: rescue.Force, Mount: m}}
		}
		p.Budgets.Drain = 200 * time.Millisecond
		if prepare != nil {
			prepare(p, g)
		}
	})
	x.in(Serving)
	x.signal(syscall.SIGTERM)
	x.in(Killing)
	over := make(chan struct{})
	told := make(chan struct{})
	go func() {
		defer close(told)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				x.guard.events <- supervise.Event{Kind: supervise.Stuck, PIDs: []int{4711}}
			}
		}
	}()
	dead := false
	dies = func() {
		if !dead {
			dead = true
			close(over)
			<-told
			x.guard.onKill = nil
			x.guard.events <- supervise.Event{Kind: supervise.Empty}
		}
	}
	t.Cleanup(dies)
	return x, g, dies
}

// losesWhileStuck takes the lock away and waits until that is heard.
func (x *run) losesWhileStuck() {
	x.Helper()
	x.lock.expire()
	x.until("the loss", func() bool {
		return strings.Contains(x.r.Status().Verdict, "before everything that was killed was dead")
	})
}

func (g *scriptedGround) levered() []string { _, pulled, _, _ := g.see(); return pulled }

// wait: nothing is broken, the lock is held.
func TestStuckIsWaitedFor(t *testing.T) {
	x, g, dies := stuckRun(t, map[string][]drain.State{"/a": {drain.Drained}}, nil)
	x.until("the word that something is stuck", func() bool { return len(x.r.Status().Stuck) == 1 })
	beats := func() int { x.lock.mu.Lock(); defer x.lock.mu.Unlock(); return len(x.lock.writes) }
	n := beats()
	x.until("heartbeats", func() bool { return beats() > n+10 }) // 500 ms, more than the budget
	if got := g.levered(); len(got) > 0 {
		t.Errorf("pulled %q", got)
	}
	if _, ended := x.lock.released(); ended {
		t.Error("released")
	}
	dies()
	x.ends(143)
	x.releasedAs(lock.Drained)
}

// free: one lever after the other as long as something is stuck; then the broken mount is taken out of the way,
// is not synced any more, and is asked about without it.
func TestStuckIsFreed(t *testing.T) {
	x, g, dies := stuckRun(t, map[string][]drain.State{"/a": {drain.Pending, drain.Drained}}, func(p *Plan, g *scriptedGround) { p.Stop.Free = true })
	began := time.Now()
	x.until("a lever", func() bool { return len(g.levered()) > 0 })
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("the storage was broken after %v, before the budget", took)
	}
	x.until("two levers", func() bool { return len(g.levered()) == 2 })
	dies()
	x.ends(143)
	x.releasedAs(lock.Drained)
	asked, pulled, synced, _ := g.see()
	if want := []string{"force /a", "force /a", "detach /a"}; !slices.Equal(pulled, want) {
		t.Errorf("pulled %q, expected %q", pulled, want)
	}
	if len(synced) != 0 {
		t.Errorf("synced %q", synced)
	}
	for _, e := range asked["/a"] {
		if e != (drain.Evidence{Detached: true}) {
			t.Errorf("asked with %+v", e)
		}
	}
}

// The levers end with the trouble: what nobody waits in is not broken.
func TestNoLeverOnceFree(t *testing.T) {
	x, g, dies := stuckRun(t, map[string][]drain.State{"/a": {drain.Drained}, "/bb": {drain.Drained}}, func(p *Plan, g *scriptedGround) { p.Stop.Free = true })
	x.until("a lever", func() bool { return len(g.levered()) == 1 })
	dies()
	x.ends(143)
	_, pulled, synced, _ := g.see()
	if slices.Contains(pulled, "force /bb") || !slices.Equal(synced, []string{"/bb"}) {
		t.Errorf("pulled %q, synced %q: expected /bb left alone and synced", pulled, synced)
	}
}

// What takes its time but waits for no storage is given it, and no reset.
func TestNoLeverForTheLiving(t *testing.T) {
	x, g, dies := stuckRun(t, map[string][]drain.State{"/a": {drain.Drained}}, func(p *Plan, g *scriptedGround) {
		p.Stop.Free, p.Stop.ResetAfter, g.sleeps = true, 300*time.Millisecond, false
	})
	n := x.guard.count("lease")
	x.until("heartbeats", func() bool { return x.guard.count("lease") > n+12 })
	if _, pulled, _, resets := g.see(); len(pulled) > 0 || resets > 0 {
		t.Errorf("pulled %q, %d resets", pulled, resets)
	}
	dies()
	x.ends(143)
}

// A lever that hangs leaves a process behind: it is not pulled again. One that fails breaks nothing, so its mount is
// synced and asked about as ever.
func TestLeversThatAreOfNoUse(t *testing.T) {
	for _, c := range []struct {
		err    error
		synced int
		min    int
		max    int
	}{{rescue.ErrHangs, 0, 2, 2}, {errors.New("CAP_SYS_ADMIN is missing"), 1, 2, 100}} {
		t.Run(c.err.Error(), func(t *testing.T) {
			x, g, dies := stuckRun(t, map[string][]drain.State{"/a": {drain.Kept}}, func(p *Plan, g *scriptedGround) {
				p.Stop.Free, p.Budgets.Drain = true, 50*time.Millisecond
				g.onPull = func(l rescue.Lever) error {
					if l.Kind == rescue.Detach {
						return nil
					}
					return fmt.Errorf("cannot pull: %w", c.err)
				}
			})
			x.until("two levers", func() bool { return len(g.levered()) >= c.min })
			n := x.guard.count("lease")
			x.until("heartbeats", func() bool { return x.guard.count("lease") > n+10 })
			if got := len(g.levered()); got > c.max {
				t.Errorf("%d levers pulled", got)
			}
			if st := x.r.Status(); st.Failures == 0 || len(st.Pulled) == 0 {
				t.Errorf("the status does not tell: %+v", st.EndStatus)
			}
			dies()
			x.ends(143)
			x.releasedAs(lock.Dead)
			if _, _, synced, _ := g.see(); len(synced) != c.synced {
				t.Errorf("synced %q", synced)
			}
		})
	}
}

// A sync that hangs is freed like a process: only its own volume's levers, and those again.
func TestHungSyncIsFreed(t *testing.T) {
	pulls := 0
	x, g := grounded(t, map[string][]drain.State{"/a": {drain.Drained}, "/bb": {drain.Drained}}, func(p *Plan, x *run, g *scriptedGround) {
		p.Stop.Free, g.hangs["/a"] = true, true
		for _, path := range []string{"/a", "/bb"} {
			g.levers[path] = []rescue.Lever{{Kind: rescue.Abort, Mount: mountcheck.Mount{Point: path}}}
		}
		g.onPull = func(l rescue.Lever) error {
			if pulls++; pulls == 2 && l.Kind == rescue.Abort {
				g.returns(l.Mount.Point, false)
			}
			return nil
		}
	})
	x.in(Serving)
	x.signal(syscall.SIGTERM)
	x.ends(143)
	x.releasedAs(lock.Drained)
	asked, pulled, _, _ := g.see()
	if want := []string{"abort /a", "abort /a", "detach /a"}; !slices.Equal(pulled, want) {
		t.Errorf("pulled %q, expected %q", pulled, want)
	}
	if a, b := asked["/a"], asked["/bb"]; len(a) != 1 || a[0] != (drain.Evidence{Detached: true}) || len(b) != 1 || b[0] != (drain.Evidence{Synced: true, Left: true}) {
		t.Errorf("asked with %+v, %+v", a, b)
	}
}

// reboot: the levers first, then a reset, said before in log and status; once, and not if all is well by then.
func TestReset(t *testing.T) {
	t.Run("still stuck", func(t *testing.T) {
		x, g, dies := stuckRun(t, map[string][]drain.State{"/a": {drain.Drained}}, func(p *Plan, g *scriptedGround) {
			p.Stop.Free, p.Stop.ResetAfter = true, 400*time.Millisecond
		})
		x.until("the last word", func() bool { return x.r.Status().Reset != "" })
		if _, pulled, _, resets := g.see(); len(pulled) == 0 || resets != 0 {
			t.Errorf("pulled %q, %d resets before it was said", pulled, resets)
		}
		x.until("the reset", func() bool { _, _, _, n := g.see(); return n == 1 })
		n := x.guard.count("lease")
		x.until("heartbeats", func() bool { return x.guard.count("lease") > n+10 })
		if _, _, _, resets := g.see(); resets != 1 {
			t.Errorf("%d resets", resets)
		}
		if _, ended := x.lock.released(); ended {
			t.Error("released")
		}
		dies()
		x.ends(143)
	})
	t.Run("free in time", func(t *testing.T) {
		x, g, dies := stuckRun(t, map[string][]drain.State{"/a": {drain.Drained}}, func(p *Plan, g *scriptedGround) {
			p.Stop.Free, p.Stop.ResetAfter = true, 300*time.Millisecond
		})
		x.until("the last word", func() bool { return x.r.Status().Reset != "" })
		g.set(func() { g.sleeps = false })
		x.until("that it is taken back", func() bool { return x.r.Status().Reset == "" })
		over := time.NewTimer(lastLog + 300*time.Millisecond)
		defer over.Stop()
		<-over.C // when it would have come
		dies()
		x.ends(143)
		if _, _, _, resets := g.see(); resets != 0 {
			t.Errorf("%d resets", resets)
		}
	})
}

// The guard is gone while the payload is stuck: nobody reports it then, so the agent itself does, and frees it.
func TestStuckBehindADeadGuard(t *testing.T) {
	x, g := grounded(t, map[string][]drain.State{"/a": {drain.Drained}}, func(p *Plan, x *run, g *scriptedGround) {
		p.Stop.Free = true
		x.guard.onSignal = func(uint32, syscall.Signal) bool { return true }
		x.guard.onKill = func() bool { return true }
		x.guard.taken = make(chan struct{})
		g.levers["/a"] = []rescue.Lever{{Kind: rescue.Abort, Mount: mountcheck.Mount{Point: "/a"}}}
	})
	x.in(Serving)
	x.signal(syscall.SIGTERM)
	x.in(Killing)
	x.guard.die()
	x.until("the word that it is stuck", func() bool { return len(x.r.Status().Stuck) == 1 })
	x.until("a lever", func() bool { return len(g.levered()) == 1 })
	close(x.guard.taken)
	select {
	case <-x.ended:
	case <-time.After(patience):
		t.Fatalf("no end: %s", x.r.Status().Phase)
	}
	if n := len(x.r.Status().Stuck); n != 0 {
		t.Error("it is called stuck after the proof")
	}
}

// What was stuck is dead: a sync that begins then is given its own budget, whether or not a lever was pulled before.
// Neither a lever nor a reset falls on a healthy filesystem that only writes what it has.
func TestSyncHasItsOwnBudget(t *testing.T) {
	t.Parallel()
	x, g, dies := stuckRun(t, map[string][]drain.State{"/a": {drain.Drained}, "/bb": {drain.Drained}}, func(p *Plan, g *scriptedGround) {
		p.Stop.Free, p.Stop.ResetAfter, p.Budgets.Drain, g.hangs["/bb"] = true, 4200*time.Millisecond, 4*time.Second, true
	})
	x.until("a lever", func() bool { return len(g.levered()) == 1 })
	dies()
	x.until("the sync", func() bool { _, _, synced, _ := g.see(); return len(synced) == 1 })
	timer := time.NewTimer(2 * time.Second) // more than the rest after a lever, and than was left until a reset
	defer timer.Stop()
	<-timer.C
	g.returns("/bb", true)
	x.ends(143)
	if _, pulled, _, resets := g.see(); !slices.Equal(pulled, []string{"force /a", "detach /a"}) || resets > 0 {
		t.Errorf("pulled %q, %d resets", pulled, resets)
	}
}

// A guard that is PID 1 cannot be killed: its lease is waited out, with nothing stuck anywhere.
func TestNoLeverWhileAGuardIsOutwaited(t *testing.T) {
	x, g := grounded(t, map[string][]drain.State{"/a": {drain.Drained}}, func(p *Plan, x *run, g *scriptedGround) {
		p.Stop.Free, p.Budgets.Drain, g.sleeps, p.Lock.Options.Timing.Hold = true, 50*time.Millisecond, false, 20*time.Second
		x.guard.onKill = func() bool { return true }
		x.guard.taken = make(chan struct{})
		g.levers["/a"] = []rescue.Lever{{Kind: rescue.Abort, Mount: mountcheck.Mount{Point: "/a"}}}
	})
	x.in(Serving)
	x.signal(syscall.SIGTERM)
	x.in(Killing)
	x.guard.die()
	x.until("the take-over", func() bool { return x.guard.noted("take over") })
	const short = 300 * time.Millisecond // less than the lease
	timer := time.NewTimer(short)
	defer timer.Stop()
	<-timer.C
	if _, pulled, _, _ := g.see(); len(pulled) > 0 {
		t.Errorf("pulled %q", pulled)
	}
	close(x.guard.taken)
	select {
	case <-x.ended:
	case <-time.After(patience):
		t.Fatalf("no end: %s", x.r.Status().Phase)
	}
}

// The lease is lost while something is stuck: what a lever has ruined is taken out of the way all the same, for the
// next start; what may be of use stays, and so does all where nobody can prove that nothing lives.
func TestRuinedMountIsTakenAway(t *testing.T) {
	for name, c := range map[string]struct {
		kind, fstype string
		unproven     bool
		want         []string
	}{
		"aborted":       {kind: rescue.Abort, want: []string{"abort /a", "detach /a"}},
		"a forced FUSE": {kind: rescue.Force, fstype: "fuse.x", want: []string{"force /a", "detach /a"}},
		"a forced NFS":  {kind: rescue.Force, fstype: "nfs4", want: []string{"force /a"}},
		"unproven":      {kind: rescue.Abort, unproven: true, want: []string{"abort /a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, g, dies := stuckRun(t, map[string][]drain.State{"/a": {drain.Drained}}, func(p *Plan, g *scriptedGround) {
				p.Stop.Free, p.Budgets.Drain = true, time.Second
				g.levers["/a"] = []rescue.Lever{{Kind: c.kind, Mount: mountcheck.Mount{Point: "/a", FSType: c.fstype}}}
			})
			x.until("the lever", func() bool { return x.r.Status().Levers == 1 })
			x.losesWhileStuck()
			if c.unproven {
				x.r.post(message{event: Unproven, reason: "the test says so"})
			} else {
				dies()
			}
			x.ends(76)
			if got := g.levered(); !slices.Equal(got, c.want) {
				t.Errorf("pulled %q, expected %q", got, c.want)
			}
		})
	}
}

// Who is freed by a lever may end the run before it is heard that the lever was pulled: what it has ruined is taken
// away all the same.
func TestRuinThatIsHeardOfLast(t *testing.T) {
	begun, over := make(chan struct{}), make(chan struct{})
	x, g, dies := stuckRun(t, map[string][]drain.State{"/a": {drain.Drained}}, func(p *Plan, g *scriptedGround) {
		p.Stop.Free = true
		g.levers["/a"] = []rescue.Lever{{Kind: rescue.Abort, Mount: mountcheck.Mount{Point: "/a"}}}
		g.onPull = func(l rescue.Lever) error {
			if l.Kind == rescue.Abort {
				close(begun)
				<-over
			}
			return nil
		}
	})
	select {
	case <-begun:
	case <-time.After(patience):
		t.Fatal("no lever")
	}
	x.losesWhileStuck()
	dies()
	x.until("the end", func() bool { return x.r.Status().Phase == Finished.String() })
	close(over)
	x.ends(76)
	if got, want := g.levered(), []string{"abort /a", "detach /a"}; !slices.Equal(got, want) {
		t.Errorf("pulled %q, expected %q", got, want)
	}
}
