package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/interlock-run/interlock/internal/courier"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/supervise"
)

// cutOff takes the device away from a holder that is none any more. The guard starts nothing for it, so the
// agent does: what it starts writes nothing to the data.
func (r *Runner) cutOff(then func()) {
	r.unprobed(func() { r.cut(then) })
}

// cut is bounded by itself: a phase that ends is no reason to leave the device attached, or to begin anew beside what
// goes on.
func (r *Runner) cut(then func()) {
	d := &r.domain.drain.device
	underWay := d.then != nil
	d.then = r.present(then)
	if underWay {
		return
	}
	d.status.State = deviceGoing
	q, env := r.deviceRequest(courier.OpCut, r.plan.Device.Down), r.env()
	r.besideAlways(func(context.Context) message {
		err := r.ground.cut(r, q, env)
		return message{then: func() {
			follow := d.then
			d.cut, d.then = true, nil
			r.cutDone(err)
			follow()
		}}
	})
}

func (r *Runner) cutDone(err error) {
	if err == nil {
		r.deviceIsDown(courier.Device{})
		return
	}
	code := exit.Internal
	if r.hold.lost {
		code = exit.Lost
	}
	r.overrule(code, fmt.Sprintf("device %s is still attached, without the lock: %s", r.plan.Device.Errand.Device.Path, oneLine(err)))
	d := &r.domain.drain.device
	d.status.State, d.status.Cause = deviceKept, err.Error()
	r.log.Error("the device is still attached, without the lock: no other node can have it where its server lets one client in at a time; take it down by hand, or start interlock here again, which does",
		"dev", r.plan.Device.Errand.Device.Path, "mount", r.plan.Device.Errand.Device.Point, "cause", err)
}

// lastCut is for runs that ended without a release, before their device was down.
func (r *Runner) lastCut() {
	d := &r.domain.drain.device
	if !d.begun || d.cut {
		return
	}
	d.cut = true
	r.cutDone(r.ground.cut(r, r.deviceRequest(courier.OpCut, r.plan.Device.Down), r.env()))
}

// runCut starts a courier of our own and waits for its answer, or until its time is up: one that hangs is left
// to the kernel.
func (r *Runner) runCut(q courier.Request, env []string) error {
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeoutCause(context.Background(), q.Timeout+lastWords, fmt.Errorf("not done within %v", q.Timeout))
	defer cancel()
	go func() { done <- r.cutProcess(ctx, q, env) }() // joined through done, or left with a process in the kernel
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	t := time.NewTimer(lastWords)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return fmt.Errorf("%w, and SIGKILL does not end it", context.Cause(ctx))
	}
}

func (r *Runner) cutProcess(ctx context.Context, q courier.Request, env []string) error {
	data, err := courier.EncodeRequest(q)
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the child dies with the thread that started it
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args, cmd.Env, cmd.Dir = []string{supervise.RoleCourier}, env, "/"
	cmd.Stdin, cmd.WaitDelay = bytes.NewReader(data), lastWords
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("cannot start the process that cuts it off: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })() // it may just have ended
	s := listen(out, func(l courier.Line) { r.overhear(l, nil) })
	err = cmd.Wait()
	switch {
	case s.answer != nil:
		return s.answer.Err()
	case err != nil || s.err != nil:
		return errors.Join(context.Cause(ctx), s.err, err)
	}
	return errors.New("the process that cuts it off ended without an answer")
}

// oneLine is the text of an error, joined ones included.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
