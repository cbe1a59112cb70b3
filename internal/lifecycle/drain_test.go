package lifecycle

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/mountcheck/drain"
	"github.com/interlock-run/interlock/supervise"
)

// quick is a run of which nothing but the end matters.
func quick(p *Plan, x *run, _ *scriptedGround) { p.Budgets.Drain = 10 * time.Second }

// The record says drained only where all volumes are, none was lost, and all that must be known was looked at in
// time; otherwise it names those that are not.
func TestDrainedOnlyIfAll(t *testing.T) {
	for name, c := range map[string]struct {
		states map[string][]drain.State
		change func(*scriptedGround)
		want   lock.Phase
		left   []string
	}{
		"all drained":         {states: map[string][]drain.State{"/a": {drain.Drained}, "/bb": {drain.Drained}}, want: lock.Drained},
		"kept by the host":    {states: map[string][]drain.State{"/a": {drain.Kept}}, want: lock.Dead, left: []string{"server:/a /a"}},
		"unknown":             {states: map[string][]drain.State{"/a": {drain.Unknown}}, want: lock.Dead, left: []string{"server:/a /a"}},
		"one of two":          {states: map[string][]drain.State{"/a": {drain.Drained}, "/bb": {drain.Kept}}, want: lock.Dead, left: []string{"server:/bb /bb"}},
		"pending, then well":  {states: map[string][]drain.State{"/a": {drain.Pending, drain.Drained}}, want: lock.Drained},
		"pending, then kept":  {states: map[string][]drain.State{"/a": {drain.Pending, drain.Kept}}, want: lock.Dead, left: []string{"server:/a /a"}},
		"pending beside kept": {states: map[string][]drain.State{"/a": {drain.Pending, drain.Drained}, "/bb": {drain.Kept}}, want: lock.Dead, left: []string{"server:/bb /bb"}},
		"nobody looked": {states: map[string][]drain.State{"/a": {drain.Drained}}, want: lock.Dead, left: []string{"server:/a /a"},
			change: func(g *scriptedGround) { g.blind = true }},
		"the sync fails, and that is told": {states: map[string][]drain.State{"/a": {drain.Kept}}, want: lock.Dead, left: []string{"server:/a /a"},
			change: func(g *scriptedGround) { g.failing["/a"] = true }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, g := grounded(t, c.states, func(p *Plan, x *run, g *scriptedGround) {
				quick(p, x, g)
				if c.change != nil {
					c.change(g)
				}
			})
			x.in(Serving)
			x.signal(syscall.SIGTERM)
			x.ends(143)
			x.releasedAs(c.want)
			if rec, _ := x.lock.released(); !slices.Equal(rec.Volumes, c.left) {
				t.Errorf("the record names %q, expected %q", rec.Volumes, c.left)
			}
			asked, _, _, _ := g.see()
			for path, all := range asked {
				for _, e := range all {
					if e != (drain.Evidence{Synced: !g.failing[path], Left: true}) {
						t.Errorf("%s: asked with %+v", path, e)
					}
				}
			}
		})
	}
}

// While it runs the record names what can be written to, from before anything was started.
func TestVolumesAreOnRecordBeforeAnythingStarts(t *testing.T) {
	x, _ := grounded(t, map[string][]drain.State{"/a": {drain.Drained}}, nil)
	x.in(Serving)
	x.lock.mu.Lock()
	last := x.lock.writes[len(x.lock.writes)-1]
	x.lock.mu.Unlock()
	if !slices.Equal(last.Volumes, []string{"server:/a /a"}) {
		t.Errorf("the record names %q", last.Volumes)
	}
	x.signal(syscall.SIGTERM)
	x.ends(143)
}

// A mount that is not the one that it was: what has been written in its place is nobody's account, so the run is
// not called drained, whatever becomes of the old one. That is waited for all the same.
func TestLostMountIsNotDrained(t *testing.T) {
	x, g := grounded(t, map[string][]drain.State{"/a": {drain.Pending, drain.Drained}}, quick)
	x.in(Serving)
	g.set(func() { g.gone["/a"] = true })
	x.signal(syscall.SIGTERM)
	x.ends(143)
	x.releasedAs(lock.Dead)
	asked, _, synced, _ := g.see()
	if want := (drain.Evidence{Detached: true}); len(asked["/a"]) != 2 || asked["/a"][0] != want {
		t.Errorf("asked with %+v, expected twice %+v", asked["/a"], want)
	}
	if len(synced) != 0 {
		t.Errorf("the directory below was synced: %q", synced)
	}
}

// A mount that another one hides is the host's to unmount: nobody waits for that.
func TestHiddenMountIsTheHosts(t *testing.T) {
	x, g := grounded(t, map[string][]drain.State{"/a": {drain.Kept}}, quick)
	x.in(Serving)
	g.set(func() { g.hidden["/a"] = true })
	x.signal(syscall.SIGTERM)
	x.ends(143)
	x.releasedAs(lock.Dead)
	if asked, _, _, _ := g.see(); !slices.Equal(asked["/a"], []drain.Evidence{{Left: true}}) {
		t.Errorf("asked with %+v", asked["/a"])
	}
}

// What waiting may help is waited for, heartbeats going on, and that is said.
func TestPendingHoldsTheLock(t *testing.T) {
	x, g := grounded(t, map[string][]drain.State{"/a": {drain.Pending}}, nil)
	x.in(Serving)
	x.signal(syscall.SIGTERM)
	x.in(Draining)
	x.until("the word that it is overdue", func() bool { return x.r.Status().Drain != "" })
	beats := func() int { x.lock.mu.Lock(); defer x.lock.mu.Unlock(); return len(x.lock.writes) }
	n := beats()
	x.until("heartbeats", func() bool { return beats() > n+3 })
	if _, ended := x.lock.released(); ended {
		t.Fatal("released")
	}
	if v := x.r.Status().Volumes; len(v) != 1 || v[0].State != "pending" {
		t.Errorf("the status shows %+v", v)
	}
	g.set(func() { g.states["/a"] = []drain.State{drain.Drained} })
	x.ends(143)
	x.releasedAs(lock.Drained)
}

// Where that is wanted, the lock is let go after the budget, and the successor is told.
func TestUndrainedIsReleasedWhereWanted(t *testing.T) {
	x, _ := grounded(t, map[string][]drain.State{"/a": {drain.Pending}}, func(p *Plan, _ *run, _ *scriptedGround) { p.Stop.Undrained = true })
	x.in(Serving)
	began := time.Now()
	x.signal(syscall.SIGTERM)
	x.ends(143)
	x.releasedAs(lock.Dead)
	if rec, _ := x.lock.released(); !slices.Equal(rec.Volumes, []string{"server:/a /a"}) {
		t.Errorf("the record names %q", rec.Volumes)
	}
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("released after %v, before the budget", took)
	}
}

// A sync that hangs holds the lock, and hides no other mount. Nobody is asked before all have come back.
func TestSyncThatHangs(t *testing.T) {
	x, g := grounded(t, map[string][]drain.State{"/a": {drain.Drained}, "/bb": {drain.Drained}}, func(_ *Plan, _ *run, g *scriptedGround) { g.hangs["/a"] = true })
	x.in(Serving)
	x.signal(syscall.SIGTERM)
	x.until("the word that it is overdue", func() bool { return x.r.Status().Drain != "" })
	asked, _, synced, _ := g.see()
	slices.Sort(synced)
	if !slices.Equal(synced, []string{"/a", "/bb"}) || len(asked) != 0 {
		t.Errorf("synced %q, asked %v", synced, asked)
	}
	g.returns("/a", true)
	x.ends(143)
	x.releasedAs(lock.Drained)
}

// A drain that is begun again after the guard was lost forgets what came before, and nothing is drained then.
func TestGuardLostWhileDraining(t *testing.T) {
	x, g := grounded(t, map[string][]drain.State{"/a": {drain.Drained}}, func(_ *Plan, _ *run, g *scriptedGround) { g.hangs["/a"] = true })
	x.in(Serving)
	x.signal(syscall.SIGTERM)
	x.until("the sync", func() bool { _, _, s, _ := g.see(); return len(s) == 1 })
	x.guard.die()
	select {
	case <-x.ended:
	case <-time.After(patience):
		t.Fatalf("no end: %s", x.r.Status().Phase)
	}
	x.releasedAs(lock.Dead)
	if rec, _ := x.lock.released(); len(rec.Volumes) != 1 {
		t.Errorf("the record names %q", rec.Volumes)
	}
}

// Each look beside the loop ends with it.
func TestNothingIsAskedBeforeTheProofOfDeath(t *testing.T) {
	x, g := grounded(t, map[string][]drain.State{"/a": {drain.Drained}}, func(_ *Plan, x *run, _ *scriptedGround) { x.guard.onKill = func() bool { return true } })
	x.in(Serving)
	x.signal(syscall.SIGTERM)
	x.in(Killing)
	for range 3 {
		x.guard.events <- supervise.Event{Kind: supervise.Stuck, PIDs: []int{1}}
		x.until("the report", func() bool { return len(x.guard.events) == 0 })
	}
	if asked, _, synced, _ := g.see(); len(asked) != 0 || len(synced) != 0 {
		t.Errorf("asked %v, synced %q", asked, synced)
	}
	x.guard.events <- supervise.Event{Kind: supervise.Empty}
	x.ends(143)
}

// An earlier payload of this boot had left a volume undrained: our drain covers it only where nothing of it can be on
// its way beside what we asked about.
func TestEarlierPayloadsOfThisBoot(t *testing.T) {
	for _, haunted := range []bool{false, true} {
		t.Run(fmt.Sprint(haunted), func(t *testing.T) {
			x, _ := grounded(t, map[string][]drain.State{"/a": {drain.Drained}}, func(p *Plan, x *run, g *scriptedGround) {
				g.haunted = haunted
				x.lock = newScriptedLock(t, lock.Record{Phase: lock.Dead, Token: 1, Node: "n", BootID: "b", Volumes: []string{"server:/a /a"}})
			})
			x.in(Serving)
			x.signal(syscall.SIGTERM)
			x.ends(143)
			if haunted {
				x.releasedAs(lock.Dead)
			} else {
				x.releasedAs(lock.Drained)
			}
		})
	}
}

// The watch tells of a change a moment later than it happens: whether what would be synced is still the mount that the
// payload ran on is read from the table itself, and a place alone says nothing.
func TestLostMountIsReadFromTheTable(t *testing.T) {
	base := mountcheck.Mount{ID: 7, Unique: 8, Point: "/a"}
	now := base
	r := &Runner{ground: ground{trace: func(string) (mountcheck.Mount, error) { return now, nil }}}
	v := &volume{path: "/a/db", mount: base}
	if r.isLost(v) {
		t.Fatal("the mount itself counts as lost")
	}
	for name, change := range map[string]func(*mountcheck.Mount){
		"another mount of the same place": func(m *mountcheck.Mount) { m.ID++ },
		"an id that was used again":       func(m *mountcheck.Mount) { m.Unique++ },
		"only its directory":              func(m *mountcheck.Mount) { m.Point = "/" },
	} {
		now = base
		change(&now)
		if !r.isLost(v) {
			t.Errorf("%s is not noticed", name)
		}
	}
}

// A process in uninterruptible sleep is told from one that runs: the first thread alone does not tell.
func TestAsleep(t *testing.T) {
	if asleep([]int{os.Getpid(), 1 << 30}) {
		t.Error("this process is asleep")
	}
}

// The look at a mount that hung ends while a device is asked about: what was not asked yet is asked then.
func TestLateCaptureIsAsked(t *testing.T) {
	r := &Runner{log: slog.New(slog.DiscardHandler), inbox: make(chan message, 9), ground: ground{mounted: func(mountcheck.Mount) (bool, error) { return true, nil }}}
	r.phase, r.domain.gone = Draining, true
	r.step.ctx = t.Context()
	r.captured([]*volume{{path: "/a", outlook: drain.Verdict{State: drain.Unknown}}})
	r.judge(nil) // asked before
	r.hear(<-r.inbox)
	<-r.inbox // the last word, of a guard that is gone
	if d := r.domain.drain; !d.asked || d.done || len(r.domain.drain.volumes) != 1 || d.volumes[0].end.verdict.State != drain.Unknown {
		t.Errorf("%+v", d)
	}
}
