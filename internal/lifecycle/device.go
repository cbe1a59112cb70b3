package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/mountcheck"
)

// DevicePlan is the block device of a run; no device: its errand has none.
type DevicePlan struct {
	Errand   courier.Request // its Device; Op, token and time are filled in
	Up, Down time.Duration   // bounds of one try
	// Volume is its name on record, for late writes; empty where they end on this machine.
	Volume string
}

func (p DevicePlan) there() bool { return p.Errand.Device != nil }

// holds tells whether a path lies on the device, by text.
func (p DevicePlan) holds(path string) bool {
	return p.there() && (path == p.Errand.Device.Point || strings.HasPrefix(path, p.Errand.Device.Point+"/"))
}

func (p DevicePlan) volumes() []string {
	if p.Volume == "" {
		return nil
	}
	return []string{p.Volume}
}

// States of a device.
const (
	deviceDown   = "down"
	deviceComing = "coming-up"
	deviceUp     = "up"
	deviceGoing  = "going-down"
	deviceKept   = "kept" // a try to take it down has failed
)

// DeviceStates lists them, for metrics.
func DeviceStates() []string {
	return []string{deviceDown, deviceComing, deviceUp, deviceGoing, deviceKept}
}

// DeviceStatus is the device as seen from outside; nil where there is none.
type DeviceStatus struct {
	Dev    string `json:"dev"`
	Mount  string `json:"mount"`
	State  string `json:"state"`
	Step   string `json:"step,omitempty"`   // what is being done
	Export string `json:"export,omitempty"` // of nbd: where it is connected to
	Tries  int    `json:"tries,omitempty"`  // to take it down, failed
	Cause  string `json:"cause,omitempty"`  // why the last one did
}

// attachment is the device as the deciding loop has it.
type attachment struct {
	begun  bool   // something may be attached or mounted by us
	up     bool   // it was mounted, so that somebody may have written to it
	cut    bool   // it was cut off, or that was tried
	then   func() // what follows when the cutting that is under way is over; nil: none is
	status DeviceStatus
	found  courier.Device // as it came up, then as it went down
}

// foresee is the look before queueing where the mount itself comes later: what would keep the device from
// coming up, and all other mounts.
func (r *Runner) foresee() {
	r.beside(func(ctx context.Context) message {
		ctx, cancel := context.WithTimeout(ctx, r.plan.Budgets.Mount)
		defer cancel()
		if err := within(ctx, func() error { return courier.CheckDevice(r.plan.Device.Errand) }); err != nil {
			return message{event: Failed, code: exit.Mount, reason: oneLine(err)}
		}
		mounts := r.plan.Device.Others(r.plan.Mounts)
		if f, refused := mountcheck.Refusal(mountcheck.Look(ctx, mounts)); refused {
			return message{event: Failed, code: FindingCode(mounts, f), reason: findingText(f)}
		}
		return message{event: Done}
	})
}

// within waits for a look that a hung filesystem may keep.
func within(ctx context.Context, look func() error) error {
	done := make(chan error, 1)
	go func() { done <- look() }() // joined through done, or left with what hangs
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the look at the device hangs: %w", context.Cause(ctx))
	}
}

// Others is what there is to look at before the device is mounted.
func (p DevicePlan) Others(c mountcheck.Config) mountcheck.Config {
	c.Expect = slices.DeleteFunc(slices.Clone(c.Expect), func(e mountcheck.Expect) bool { return p.holds(e.Path) })
	c.Seen = mountcheck.Mount{}
	if p.holds(c.Data) {
		c.Data = ""
	}
	if p.holds(c.StateDir) {
		c.StateDir = ""
	}
	return c
}

// deviceErrand starts a courier for the device. Called by the loop alone.
func (r *Runner) deviceErrand(op string, limit time.Duration) errand {
	return r.dispatch(r.deviceRequest(op, limit), nil, limit, func(l courier.Line) {
		if l.Step != "" {
			r.post(message{then: func() { r.deviceStep(l.Step) }})
		}
	})
}

// waitDevice is wait for an answer that names the device.
func (e errand) waitDevice(ctx context.Context) (courier.Answer, error) {
	a, err := e.wait(ctx)
	if err == nil && a.Device == nil {
		err = errors.New("the courier did not say what became of it")
	}
	return a, err
}

func (r *Runner) deviceRequest(op string, limit time.Duration) courier.Request {
	q := r.plan.Device.Errand
	spec := *q.Device
	token := r.hold.tenure.Token()
	spec.Tenure.Token, spec.WasUp = token.String(), r.domain.drain.device.up
	q.Op, q.Timeout, q.Reach, q.Who.Token, q.Device = op, limit-ahead(limit), limit, token, &spec
	return q
}

func (r *Runner) deviceStep(step string) {
	d := &r.domain.drain.device
	d.status.Step = step
	r.log.Info("device: "+step+" "+r.plan.Device.Errand.Device.Path, "mount", r.plan.Device.Errand.Device.Point)
}

// bringUp makes the mount that a device is declared for, under the lease, and goes on; without a device it
// goes on at once. Called in Mounting, before the mounts are looked at again.
func (r *Runner) bringUp(then func()) {
	if !r.plan.Device.there() {
		then()
		return
	}
	d := &r.domain.drain.device
	d.begun, d.status.State = true, deviceComing
	began := time.Now()
	e, number := r.deviceErrand(courier.OpUp, r.plan.Device.Up), r.step.number
	r.besideAlways(func(ctx context.Context) message {
		a, err := e.waitDevice(ctx)
		if err != nil {
			return message{then: func() { r.notUp(err, a.Device, number) }}
		}
		return message{step: number, then: func() {
			d.up = true
			d.found, d.status.State, d.status.Step, d.status.Export = *a.Device, deviceUp, "", a.Device.Export
			r.log.Info("the device is up", "dev", r.plan.Device.Errand.Device.Path, "mount", r.plan.Device.Errand.Device.Point, "export", a.Device.Export, "seconds", time.Since(began).Seconds())
			r.watch(then)
		}}
	})
}

// notUp also hears of a device that was not touched when the phase is over: it would be taken down for ever.
func (r *Runner) notUp(err error, found *courier.Device, step int) {
	d := &r.domain.drain.device
	if found != nil && found.Never { // nor would there be a place to note that it is down
		d.begun, d.status = false, DeviceStatus{}
	}
	r.handle(message{step: step, event: Failed, code: errandCode(err, exit.Mount), reason: fmt.Sprintf("device %s: %v", r.plan.Device.Errand.Device.Path, err)})
}

// takeDown unmounts and detaches the device that bringUp began with, and goes on; without one it goes on at
// once. What it saw is left in r.domain.drain.device for the drain. Called in Draining, once all is proven dead,
// also after a loss. While the lock is held it is tried until it works: a device that is still attached here is
// refused to a successor, or, worse, is not.
func (r *Runner) takeDown(then func()) {
	d := &r.domain.drain.device
	switch {
	case !d.begun:
		then()
		return
	case r.domain.gone || r.hold.lost:
		r.cutOff(then)
		return
	}
	d.status.State = deviceGoing
	r.unprobed(func() { r.putDown(then) }) // our own probes pin the mount
}

func (r *Runner) putDown(then func()) {
	e := r.deviceErrand(courier.OpDown, r.plan.Device.Down)
	r.next(func(ctx context.Context) (func(), message) {
		a, err := e.waitDevice(ctx)
		if err != nil {
			return func() { r.keepDevice(err, then) }, message{}
		}
		return func() {
			r.deviceIsDown(*a.Device)
			then()
		}, message{}
	})
}

func (r *Runner) deviceIsDown(found courier.Device) {
	d := &r.domain.drain.device
	d.begun, d.found = false, found
	d.status = DeviceStatus{State: deviceDown}
	r.log.Info("the device is down", "dev", r.plan.Device.Errand.Device.Path, "synced", found.Rest.Synced, "settled", found.Rest.Settled)
}

// longestPause is between two tries to take a device down.
const longestPause = 30 * time.Second

// keepDevice waits for the next try, the lock held and renewed.
func (r *Runner) keepDevice(err error, then func()) {
	d := &r.domain.drain.device
	pause := min(time.Second<<min(d.status.Tries, 10), longestPause)
	d.status.State, d.status.Step, d.status.Cause = deviceKept, "", err.Error()
	d.status.Tries++
	r.log.Error("the device cannot be taken down: the lock is kept and renewed until it can", "dev", r.plan.Device.Errand.Device.Path, "cause", err, "tries", d.status.Tries, "next", pause.String())
	r.later(pause, func() { r.takeDown(then) })
}

// deviceStatus is nil where there is none.
func (r *Runner) deviceStatus() *DeviceStatus {
	if !r.plan.Device.there() {
		return nil
	}
	st := r.domain.drain.device.status
	st.Dev, st.Mount = r.plan.Device.Errand.Device.Path, r.plan.Device.Errand.Device.Point
	if st.State == "" {
		st.State = deviceDown
	}
	return &st
}
