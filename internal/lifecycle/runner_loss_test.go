package lifecycle

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/supervise"
)

// E1: whatever the loss was, nothing moves the guard's deadline after it.
func TestNothingExtendsAfterALoss(t *testing.T) {
	x := begin(t, func(p *Plan, x *run) {
		p.Stop.LossGrace = 700 * time.Millisecond
		x.guard.onSignal = func(uint32, syscall.Signal) bool { return true }
	})
	x.in(Serving)
	x.r.post(message{event: LeaseLost, code: 76, reason: "fenced off"})
	x.in(Losing)
	n := x.guard.count("lease")
	x.in(Finished)
	if got := x.guard.count("lease"); got != n {
		t.Errorf("the deadline was extended %d times after the loss", got-n)
	}
	x.ends(76)
}

// The guard refuses to start because the lease has run out: that is a lost lease, whatever was to start.
func TestRefusedStartIsALostLease(t *testing.T) {
	refuse := func(x *run) {
		x.guard.onStart = func(s supervise.Spec) bool {
			x.guard.events <- supervise.Event{Kind: supervise.StartFailed, ID: s.ID, Stage: supervise.StageRefused, Text: "lease is lost"}
			return true
		}
	}
	t.Run("hook", func(t *testing.T) {
		begin(t, func(p *Plan, x *run) {
			p.Payload.Hooks.PreStart = Hook{Exec: []string{"hook"}, Timeout: time.Minute}
			refuse(x)
		}).ends(76)
	})
	t.Run("claim", func(t *testing.T) {
		begin(t, func(p *Plan, x *run) {
			p.State = t.TempDir()
			refuse(x)
		}).ends(76)
	})
	t.Run("payload", func(t *testing.T) { begin(t, func(_ *Plan, x *run) { refuse(x) }).ends(76) })
}

// A hook that does not die holds up nothing beyond its time: the run goes on to kill and says what is stuck.
func TestHookThatDoesNotDie(t *testing.T) {
	t.Run("pre_stop", func(t *testing.T) {
		x := begin(t, func(p *Plan, x *run) {
			p.Payload.Hooks.PreStop = Hook{Exec: []string{"hook"}, Timeout: 50 * time.Millisecond}
			x.guard.onStart = func(s supervise.Spec) bool { return !s.Payload }
		})
		x.in(Serving)
		x.signal(syscall.SIGTERM)
		x.ends(143)
		if !x.guard.noted("kill one") {
			t.Error("the hook was not killed")
		}
	})
	t.Run("pre_start", func(t *testing.T) {
		x := begin(t, func(p *Plan, x *run) {
			p.Payload.Hooks.PreStart = Hook{Exec: []string{"hook"}, Timeout: 50 * time.Millisecond}
			x.guard.onStart = func(s supervise.Spec) bool { return !s.Payload }
		})
		x.ends(73)
	})
	t.Run("worker", func(t *testing.T) {
		var kept []int
		t.Cleanup(func() {
			for _, fd := range kept {
				_ = syscall.Close(fd)
			}
		})
		x := begin(t, func(p *Plan, x *run) {
			p.State, p.Budgets.Claim = t.TempDir(), 50*time.Millisecond
			x.guard.onStart = func(s supervise.Spec) bool { // it holds its end of the pipe
				if s.Worker && s.Stdout != nil {
					if fd, err := syscall.Dup(int(s.Stdout.Fd())); err == nil {
						kept = append(kept, fd)
					}
				}
				return true
			}
		})
		x.ends(72)
	})
}

// The domain on record must be withdrawn before workers start in a later one; a lock that takes no writes
// must not hold up the end for ever.
func TestStopWhileTheLockTakesNoWrites(t *testing.T) {
	file := func(p *Plan, x *run) {
		p.Lock.Options.ProvenEmpty = func(string, lock.Domain) (bool, string) { return false, "test" }
	}
	t.Run("holding off", func(t *testing.T) {
		x := begin(t, func(p *Plan, x *run) {
			file(p, x)
			x.lock = newScriptedLock(t, lock.Record{Phase: lock.Running, Token: 1, WaitMS: 30000})
		})
		x.in(HoldingOff)
		x.lock.silence(true)
		x.signal(syscall.SIGTERM)
		x.ends(143)
	})
	t.Run("mounting", func(t *testing.T) {
		x := begin(t, func(p *Plan, x *run) { file(p, x) })
		x.in(Serving)
		x.lock.silence(true)
		x.guard.events <- supervise.Event{Kind: supervise.Exited, ID: payloadID}
		x.ends(0)
	})
}

// A second namespace that nobody asked for: the one on record must not speak for what starts in it.
func TestANewNamespaceIsNotTheOneOnRecord(t *testing.T) {
	x := begin(t, nil)
	x.in(Serving)
	x.guard.events <- supervise.Event{Kind: supervise.Ready, Domain: supervise.Domain{Mode: "pidns", PIDNamespace: 2}}
	x.until("a record without the first namespace", func() bool {
		x.lock.mu.Lock()
		defer x.lock.mu.Unlock()
		d := x.lock.writes[len(x.lock.writes)-1].Domain
		return d == nil || d.PIDNS != 1
	})
	x.signal(syscall.SIGTERM)
	x.ends(143)
}

// A tenure beats only while the loop turns: the loop must turn more often than that, whatever the budgets.
func TestTheLoopTurnsOftenEnough(t *testing.T) {
	tm := timing()
	tm.Heartbeat, tm.TryTimeout, tm.KillBudget = 50*time.Millisecond, 50*time.Millisecond, 5*time.Second
	r := &Runner{plan: Plan{Lock: LockPlan{Options: lock.Options{Timing: tm}}}}
	if got := r.tickPeriod(); got > (tm.Heartbeat+tm.TryTimeout)/2 {
		t.Errorf("turns every %v: a tenure waits for %v at most", got, tm.Heartbeat+tm.TryTimeout)
	}
}

// The lease is lost in each phase after the grant: 76, and the lock is not taken again.
func TestLossInEachPhase(t *testing.T) {
	for _, p := range []Phase{HoldingOff, Starting, Launching, Serving, Stopping} {
		t.Run(p.String(), func(t *testing.T) {
			x := begin(t, func(pl *Plan, x *run) {
				switch p {
				case HoldingOff:
					x.lock = newScriptedLock(t, lock.Record{Phase: lock.Running, Token: 1, WaitMS: 30000})
				case Starting:
					pl.Payload.Hooks.PreStart = Hook{Exec: []string{"hook"}, Timeout: time.Minute}
					x.guard.onStart = func(s supervise.Spec) bool { return !s.Payload }
				case Launching:
					x.guard.onStart = func(supervise.Spec) bool { return true }
				case Stopping:
					pl.Stop.Grace = time.Minute
					x.guard.onSignal = func(uint32, syscall.Signal) bool { return true }
				}
			})
			if p == Stopping {
				x.in(Serving)
				x.signal(syscall.SIGTERM)
			}
			x.in(p)
			x.lock.expire()
			x.ends(76)
			if r, ok := x.lock.released(); ok {
				t.Errorf("a record %s was written after the key was gone", r.Phase)
			}
			if !x.guard.noted("finish") {
				t.Error("the guard's last word was not waited for")
			}
		})
	}
}

// The tenure is not ended, and nothing is released, while the guard has not said the last word.
func TestNoReleaseBeforeTheLastWord(t *testing.T) {
	x := begin(t, func(_ *Plan, x *run) { x.guard.onFinish = func() bool { return true } })
	x.in(Serving)
	x.signal(syscall.SIGTERM)
	x.in(Finishing)
	x.lock.mu.Lock()
	n := len(x.lock.writes)
	x.lock.mu.Unlock()
	x.until("heartbeats while finishing", func() bool {
		x.lock.mu.Lock()
		defer x.lock.mu.Unlock()
		return len(x.lock.writes) > n+1
	})
	if _, ok := x.lock.released(); ok {
		t.Error("released before the guard's last word")
	}
	x.guard.events <- supervise.Event{Kind: supervise.Dead}
	x.ends(143)
	x.releasedAs(lock.Drained)
}

// The lock is granted but takes no writes: nothing starts, the key is given up, 69.
func TestLockThatTakesNoWrites(t *testing.T) {
	x := begin(t, func(_ *Plan, x *run) { x.lock.silent = true })
	x.ends(69)
	if x.lock.left == 0 || x.guard.count("start") > 0 {
		t.Errorf("key deleted %d times, calls %v", x.lock.left, x.guard.calls)
	}
}

// After a loss our own write probes end with the kill, not with the proof, which may take for ever: a
// successor may run by then.
func TestProbesEndWithALostLease(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("while killing %v", late), func(t *testing.T) {
			x := begin(t, func(_ *Plan, x *run) { x.guard.onKill = func() bool { return true } })
			x.in(Serving)
			watch := x.r.seen.mounts
			if late {
				x.guard.events <- supervise.Event{Kind: supervise.Exited, ID: payloadID}
				x.in(Killing)
			}
			x.lock.expire()
			x.in(Killing)
			x.until("the end of the probes", func() bool {
				x.guard.events <- supervise.Event{Kind: supervise.Stuck, PIDs: []int{1}} // not silent
				select {
				case _, open := <-watch.Findings():
					return !open
				default:
					return false
				}
			})
			x.guard.events <- supervise.Event{Kind: supervise.Empty}
			<-x.ended
		})
	}
}
