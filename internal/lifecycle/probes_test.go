package lifecycle

import (
	"slices"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/device"
	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/mountcheck/drain"
	"github.com/interlock-run/interlock/supervise"
)

// heldProbes makes the end of the probes last until it is let go.
func (x *run) heldProbes() (letGo func()) {
	held := make(chan struct{})
	x.unwatch = func(w *mountcheck.Watcher) error {
		<-held
		return w.Close()
	}
	open := true
	letGo = func() {
		if open {
			open = false
			close(held)
		}
	}
	x.Cleanup(letGo)
	return letGo
}

// renews waits for heartbeats of the lock and of the guard's deadline: the loop decides.
func (x *run) renews() {
	x.Helper()
	beats := func() int { x.lock.mu.Lock(); defer x.lock.mu.Unlock(); return len(x.lock.writes) }
	writes, leases := beats(), x.guard.count("lease")
	x.until("renewals", func() bool { return beats() > writes+5 && x.guard.count("lease") > leases+5 })
}

// A probe that hangs takes its time to end. The loop decides meanwhile; only the guard's last word is asked for when it
// has ended, because it writes.
func TestProbeThatHangsAtTheEnd(t *testing.T) {
	var letGo func()
	x := begin(t, func(_ *Plan, x *run) { letGo = x.heldProbes() })
	x.in(Serving)
	x.signal(syscall.SIGTERM)
	x.in(Finishing)
	x.renews()
	if x.guard.noted("finish") {
		t.Error("the last word was asked for while a probe could still write")
	}
	if _, ok := x.lock.released(); ok {
		t.Error("released while a probe could still write")
	}
	letGo()
	x.ends(143)
	x.releasedAs(lock.Drained)
	if !x.guard.noted("finish") {
		t.Error("the last word was not asked for")
	}
}

// The lease is lost and a probe hangs: the kill is ordered at once, and the guard's deadline is not what ends it.
func TestProbeThatHangsAtALoss(t *testing.T) {
	var letGo func()
	x := begin(t, func(p *Plan, x *run) {
		letGo = x.heldProbes()
		x.guard.onKill = func() bool { return true }
	})
	x.in(Serving)
	x.r.post(message{event: LeaseLost, code: 76, reason: "fenced off"})
	x.in(Killing)
	x.until("the order to kill", func() bool { return x.guard.noted("kill") })
	turns := x.r.Status().Turned
	x.until("another turn", func() bool { return x.r.Status().Turned.Later(turns) })
	x.guard.events <- supervise.Event{Kind: supervise.Empty}
	x.in(Finishing)
	letGo()
	x.ends(76)
}

// A device is taken down only without our own probes in its mount.
func TestProbesLeaveBeforeADeviceIsTakenDown(t *testing.T) {
	var letGo func()
	x, c := withStore(t, func(_ *Plan, x *run) { letGo = x.heldProbes() }, func(q courier.Request) *courier.Answer {
		a := done()
		if q.Op == courier.OpDown {
			a.Device = &courier.Device{Rest: device.Rest{Synced: true, Settled: true}}
		}
		return a
	})
	x.in(Serving)
	x.attach()
	x.signal(syscall.SIGTERM)
	x.in(Draining)
	x.renews()
	if ops := c.ops(); slices.Contains(ops, courier.OpDown) {
		t.Errorf("couriers %v while a probe pins the mount", ops)
	}
	letGo()
	x.ends(143)
	if ops := c.ops(); !slices.Contains(ops, courier.OpDown) || x.r.Status().Device.State != deviceDown {
		t.Errorf("couriers %v: expected one that takes the device down", ops)
	}
}

// attach gives a run a device that is up.
func (x *run) attach() {
	x.Helper()
	x.r.post(message{then: func() {
		x.r.plan.Device = DevicePlan{Down: patience, Errand: courier.Request{Device: &device.Spec{Path: "/dev/nbd0", Point: "/d"}}}
		x.r.domain.drain.device = attachment{begun: true, up: true, status: DeviceStatus{State: deviceUp}}
	}})
	x.until("the device", func() bool { return x.r.Status().Device != nil })
}

// What is lost is asked about only without our own probes in it.
func TestProbesLeaveBeforeALostMountIsAskedAbout(t *testing.T) {
	var letGo func()
	x, g := grounded(t, map[string][]drain.State{"/a": {drain.Drained}}, func(p *Plan, x *run, g *scriptedGround) {
		quick(p, x, g)
		letGo = x.heldProbes()
	})
	x.in(Serving)
	g.set(func() { g.gone["/a"] = true })
	x.signal(syscall.SIGTERM)
	x.in(Draining)
	x.renews()
	if asked, _, _, _ := g.see(); len(asked) != 0 {
		t.Errorf("asked %v while a probe pins it", asked)
	}
	letGo()
	x.ends(143)
	if asked, _, _, _ := g.see(); len(asked["/a"]) != 1 {
		t.Errorf("asked %v", asked)
	}
}
