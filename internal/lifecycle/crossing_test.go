package lifecycle

import (
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/device"
	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/mountcheck/drain"
	"github.com/interlock-run/interlock/mountcheck/rescue"
	"github.com/interlock-run/interlock/supervise"
)

// crosses has something happen when all steps have reported and nothing of that was heard yet: two messages in one
// turn, of which the loop takes the one that ends the phase first.
func (x *run) crosses(happens func()) {
	x.r.post(message{then: func() {
		var came []message
		for reports := 0; reports < x.r.steps; {
			m := <-x.r.inbox
			if came = append(came, m); m.last {
				reports++
			}
		}
		happens()
		for _, m := range came {
			if x.r.phase == Finished { // the loop has turned for the last time
				x.r.post(m)
				continue
			}
			x.r.hear(m)
		}
	}})
}

func (x *run) stops() { x.r.hearSignal(syscall.SIGTERM) }

// The watch stands at the moment of a stop: it is ended like any other.
func TestWatchThatComesWithAStop(t *testing.T) {
	ended := 0
	x := begin(t, func(_ *Plan, x *run) {
		x.unwatch = func(w *mountcheck.Watcher) error {
			ended++
			return w.Close()
		}
		x.first = func() { x.crosses(x.stops) }
	})
	x.ends(143)
	if ended != 1 {
		t.Errorf("%d watches were ended, expected one", ended)
	}
}

// A watch that fails is its own phase's affair: heard in the drain, it would end that, and the lock would be released
// with the device attached.
func TestWatchThatFailsTooLate(t *testing.T) {
	x := keptRun(t, nil)
	heard := make(chan Phase, 1)
	x.r.post(message{then: func() {
		x.r.plan.Mounts.Expect = []mountcheck.Expect{{Path: "not absolute"}}
		x.r.step.number--
		x.r.watch(func() {})
		x.r.step.number++
		for {
			m := <-x.r.inbox
			x.r.hear(m)
			if m.event == Failed {
				heard <- x.r.phase
				return
			}
		}
	}})
	select {
	case p := <-heard:
		if p != Draining {
			t.Errorf("phase %v, though the device is kept", p)
		}
	case <-time.After(patience):
		t.Fatal("the watch did not fail")
	}
	x.lock.expire()
	x.ends(76)
}

// A backup comes to its end at the moment of a stop: what came of it counts, and above all that a later holder has
// claimed the store.
func TestBackupThatEndsWithAStop(t *testing.T) {
	for name, c := range map[string]struct {
		answer *courier.Answer
		code   int
		count  string
	}{
		"published":  {done(), 143, resultPublished},
		"failed":     {&courier.Answer{Code: 69, Error: "down"}, 143, resultFailed},
		"fenced off": {&courier.Answer{Code: 76, Error: "a later holder"}, 76, resultFailed},
	} {
		t.Run(name, func(t *testing.T) {
			var begun *run
			x, _ := withStore(t, func(p *Plan, x *run) {
				begun = x
				p.Store.Next = func(after time.Time) time.Time { return after.Add(10 * time.Millisecond) }
			}, func(q courier.Request) *courier.Answer {
				if q.Op != courier.OpBackup {
					return &courier.Answer{}
				}
				begun.crosses(begun.stops)
				return c.answer
			})
			x.ends(c.code)
			if st := x.r.Status().Store; st.Counts[c.count] != 1 || st.Counts[resultCut] != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// withDevice gives a run a device before it begins, though nobody looks at it.
func (x *run) withDevice() {
	x.first = func() {
		x.r.post(message{then: func() {
			x.r.plan.Device = DevicePlan{Up: patience, Down: patience, Errand: courier.Request{Device: &device.Spec{Path: "/dev/nbd0", Point: "/d"}}}
		}})
	}
}

// A device of which nobody could even make a note is told to be so at the moment of a stop: taking it down cannot work
// either, and would be tried for ever.
func TestUntouchedDeviceAtAStop(t *testing.T) {
	var begun *run
	x, c := withStore(t, func(_ *Plan, x *run) {
		begun = x
		x.withDevice()
	}, func(q courier.Request) *courier.Answer {
		if q.Op != courier.OpUp && q.Op != courier.OpDown {
			return done()
		}
		if q.Op == courier.OpUp {
			begun.crosses(begun.stops)
		}
		return &courier.Answer{Code: 72, Error: "there is no place for a note", Device: &courier.Device{Never: true}}
	})
	x.ends(143)
	if ops := c.ops(); slices.Contains(ops, courier.OpDown) {
		t.Errorf("couriers %v: there is nothing to take down", ops)
	}
}

// The guard dies while a device is being cut off, and the run comes to the drain again: one cutting goes on, and no
// second beside it.
func TestGuardGoneWhileADeviceIsCutOff(t *testing.T) {
	for name, c := range cutOffs() {
		t.Run(name, func(t *testing.T) {
			var cuts atomic.Int32
			letGo := make(chan struct{})
			x, _ := withStore(t, func(_ *Plan, x *run) {
				x.cut = func(*Runner, courier.Request, []string) error {
					cuts.Add(1)
					<-letGo
					return c.err
				}
			}, nil)
			x.in(Serving)
			x.attach()
			x.lock.expire()
			x.in(Draining)
			x.until("the cutting", func() bool { return cuts.Load() > 0 })
			since := x.r.Status().Since
			x.guard.die()
			x.until("the drain again", func() bool { s := x.r.Status(); return s.Phase == Draining.String() && s.Since.After(since) })
			close(letGo)
			x.ends(76)
			if n := cuts.Load(); n != 1 {
				t.Errorf("it was cut off %d times", n)
			}
			if got := x.r.Status().Device.State; got != c.state {
				t.Errorf("the device is %q, expected %q", got, c.state)
			}
		})
	}
}

// hooked is a run that was told to stop, and has started something after the proof of death: the lease is lost as the
// guard is asked to kill that.
func hooked(t *testing.T, prepare func(*run)) *run {
	t.Helper()
	x := begin(t, func(p *Plan, x *run) {
		p.Payload.Hooks.PostStop = Hook{Exec: []string{"hook"}, Timeout: time.Minute}
		prepare(x)
		first := x.guard.onKill
		x.guard.onKill = func() bool {
			if x.guard.count("kill") == 1 {
				return false
			}
			x.r.post(message{event: LeaseLost, code: 76, reason: "the test says so"})
			return first()
		}
	})
	x.in(Serving)
	x.signal(syscall.SIGTERM)
	return x
}

// The guard is found to be gone at that moment: nobody has proven that what was started last is dead.
func TestGuardGoneAsTheLeaseIsLost(t *testing.T) {
	x := hooked(t, func(x *run) {
		x.guard.onKill = func() bool {
			x.guard.dead.Store(true)
			return true
		}
	})
	x.ends(143)
	if !x.guard.noted("take over") {
		t.Error("nobody took over from the guard that was gone")
	}
	x.releasedAs(lock.Dead)
}

// The answer to an order before is not the last word: a guard that falls silent after it is taken over from.
func TestSilenceBeforeTheLastWord(t *testing.T) {
	x := hooked(t, func(x *run) {
		x.guard.onKill = func() bool { return true }
		x.guard.onFinish = func() bool {
			x.guard.events <- supervise.Event{Kind: supervise.Empty}
			return true
		}
	})
	x.until("the take-over", func() bool { return x.guard.noted("take over") })
	x.ends(143)
}

// A sync that hung died with the guard's domain: it is no trouble any more, and no reason to break anything.
func TestSyncOfADrainBefore(t *testing.T) {
	letGo := make(chan struct{})
	x, g := grounded(t, map[string][]drain.State{"/a": {drain.Drained}}, func(_ *Plan, x *run, g *scriptedGround) {
		g.hangs["/a"] = true
		x.cut = func(*Runner, courier.Request, []string) error {
			<-letGo
			return nil
		}
	})
	x.in(Serving)
	x.attach()
	x.signal(syscall.SIGTERM)
	x.until("the sync", func() bool { _, _, s, _ := g.see(); return len(s) == 1 })
	x.until("the drain", func() bool { v := x.r.Status().Volumes; return len(v) == 1 && v[0].State == "syncing" })
	x.guard.die()
	x.until("the cutting", func() bool { return x.r.Status().Device.State == deviceGoing })
	if st := x.r.Status(); st.Volumes[0].State != "" {
		t.Errorf("%+v: nobody syncs any more", st.Volumes[0])
	}
	close(letGo)
	x.ends(143)
}

// Taking a ruined mount out of the way hangs, and the lease is lost at that moment: it is not tried again, each try
// leaves a process.
func TestDetachThatHangsAtALoss(t *testing.T) {
	var x *run
	x, g, dies := stuckRun(t, map[string][]drain.State{"/a": {drain.Drained}}, func(p *Plan, g *scriptedGround) {
		p.Stop.Free = true
		g.levers["/a"] = []rescue.Lever{{Kind: rescue.Abort, Mount: mountcheck.Mount{Point: "/a"}}}
		g.onPull = func(l rescue.Lever) error {
			if l.Kind == rescue.Abort {
				return nil
			}
			x.r.post(message{event: LeaseLost, code: 76, reason: "the test says so"})
			return rescue.ErrHangs
		}
	})
	x.until("a lever", func() bool { return x.r.Status().Levers == 1 })
	dies()
	x.ends(143)
	if got, want := g.levered(), []string{"abort /a", "detach /a"}; !slices.Equal(got, want) {
		t.Errorf("pulled %q, expected %q", got, want)
	}
}

// The payload has ended, something of it does not die, and the lease is lost, in either order: a successor may be at work
// beside it, which is what whoever reads the exit code has to know.
func TestLossWhileStuck(t *testing.T) {
	stuck := func(x *run) { x.r.hearGuard(supervise.Event{Kind: supervise.Stuck, PIDs: []int{4711}}, true) }
	lost := func(x *run) { x.r.handle(message{event: LeaseLost, code: 76, reason: "the test says so"}) }
	for name, order := range map[string][]func(*run){"stuck, then lost": {stuck, lost}, "lost, then stuck": {lost, stuck}} {
		t.Run(name, func(t *testing.T) {
			x := begin(t, func(_ *Plan, x *run) {
				x.guard.onKill = func() bool {
					x.r.post(message{then: func() {
						for _, f := range order {
							f(x)
						}
						x.guard.events <- supervise.Event{Kind: supervise.Empty}
					}})
					return true
				}
			})
			x.in(Serving)
			x.guard.events <- supervise.Event{Kind: supervise.Exited, ID: payloadID, Status: 3 << 8}
			if v := x.ends(76); v.Payload || !strings.Contains(v.Reason, "before everything that was killed was dead; before that, payload ended with exit code 3") {
				t.Errorf("%+v", v)
			}
		})
	}
}

// A lease that is lost while nothing is stuck comes too late to be what the run ends with.
func TestLossAfterThePayload(t *testing.T) {
	x := begin(t, func(_ *Plan, x *run) {
		x.guard.onKill = func() bool {
			x.r.post(message{event: LeaseLost, code: 76, reason: "the test says so"})
			return false
		}
	})
	x.in(Serving)
	x.guard.events <- supervise.Event{Kind: supervise.Exited, ID: payloadID, Status: 3 << 8}
	if v := x.ends(3); !v.Payload {
		t.Errorf("%+v", v)
	}
}

// The drain ends before the device is down, and the lock is still ours: it is cut off before the lock is given back, since
// who has that next may attach it at once.
func TestCutOffBeforeTheRelease(t *testing.T) {
	early, d := false, &scriptedDog{}
	x, _ := withStore(t, func(p *Plan, x *run) {
		p.Lock.Watchdog = d
		x.cut = func(*Runner, courier.Request, []string) error {
			_, released := x.lock.released()
			_, disarmed := d.state()
			early = released || disarmed || x.guard.count("finish") > 0
			return nil
		}
	}, func(q courier.Request) *courier.Answer {
		a := done()
		if q.Op == courier.OpDown {
			a.Error, a.Code = "it is in use", 72
		}
		return a
	})
	x.in(Serving)
	x.attach()
	x.signal(syscall.SIGTERM)
	x.until("the device to be kept", func() bool { return x.r.Status().Device.State == deviceKept })
	x.r.post(message{event: LeaseLost, code: 76, reason: "the test says so"})
	x.ends(76)
	x.releasedAs(lock.Dead)
	if st := x.r.Status().Device.State; early || st != deviceDown {
		t.Errorf("the device is %q, the lock, the watchdog or the guard let go before it was cut off: %v", st, early)
	}
}

// Since it was asked for its last word the guard takes no lease, so its deadline passes while something does not die. That
// is no loss: the tenure renews the lock.
func TestDeadlineBeforeTheLastWord(t *testing.T) {
	x := begin(t, func(_ *Plan, x *run) {
		x.guard.onFinish = func() bool {
			x.guard.events <- supervise.Event{Kind: supervise.Stuck, PIDs: []int{4711}}
			x.guard.events <- supervise.Event{Kind: supervise.Deadline, Stage: supervise.StageTerm}
			return false
		}
	})
	x.in(Serving)
	x.signal(syscall.SIGTERM)
	if v := x.ends(143); !v.Payload {
		t.Errorf("%+v", v)
	}
}
