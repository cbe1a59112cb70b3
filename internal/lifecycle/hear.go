package lifecycle

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/mountcheck"
	"github.com/interlock-run/interlock/supervise"
)

// readyTimeout is how long the guard may take to choose its kill domain; it answers in milliseconds.
const readyTimeout = 10 * time.Second

// prepare tells the guard what it must know and waits for the kill domain that it chose.
func (r *Runner) prepare() error {
	if err := r.guard.Prepare(r.plan.Guard); err != nil {
		return err
	}
	timer := time.NewTimer(readyTimeout)
	defer timer.Stop()
	for {
		select {
		case e, open := <-r.domain.events:
			switch {
			case !open:
				return errors.New("the guard is gone")
			case e.Kind == supervise.Refused:
				return exit.Withf(exit.Config, "isolate: %s", e.Text)
			case e.Kind == supervise.Ready:
				r.domain.info = e.Domain
				r.log.Info("kill domain", "mode", e.Domain.Mode, "why", e.Domain.Why, "cannot_catch", e.Domain.Misses)
				return nil
			}
			r.hearGuard(e, open)
		case <-timer.C:
			return fmt.Errorf("the guard did not choose a kill domain within %v", readyTimeout)
		}
	}
}

// hearGuard turns what the guard tells into reports.
func (r *Runner) hearGuard(e supervise.Event, open bool) {
	if !open {
		r.domain.events = nil
		r.domain.gone = true
		if r.domain.takeover {
			return
		}
		r.decide(exit.Internal, "the guard process is gone")
		if r.phase == Killing { // it died before it could prove anything: that is left to us
			r.takeOver()
			return
		}
		r.fire(GuardGone, "")
		return
	}
	switch e.Kind {
	case supervise.Ready:
		r.domain.info = e.Domain
		if r.hold.tenure != nil { // the domain on record must not speak for what starts in this one
			r.hold.tenure.SetDomain(nil)
			r.hold.tenure.Beat()
		}
	case supervise.Started:
		r.hearStarted(e)
	case supervise.StartFailed:
		r.hearStartFailed(e)
	case supervise.Exited:
		r.hearExited(e)
	case supervise.SignalReceived:
		r.hearSignal(e.Signal)
	default:
		r.hearKilling(e)
	}
}

func (r *Runner) hearStarted(e supervise.Event) {
	if e.ID != payloadID {
		return
	}
	r.domain.payload.pid, r.domain.payload.started = e.PID, time.Now()
	r.domain.payload.memory.begin()
	r.log.Info("payload started", "pid", e.PID, "command", r.plan.Payload.Name)
	if r.phase == Launching {
		r.fire(Done, "")
	}
	if sig := r.domain.payload.due; sig != 0 {
		r.sendPayload(sig)
	}
}

func (r *Runner) hearStartFailed(e supervise.Event) {
	if e.ID != payloadID {
		r.ended(e.ID, procEnd{failed: true, stage: e.Stage, errno: e.Errno, text: e.Text})
		return
	}
	r.domain.payload.exited = true
	code, why := exit.CannotRun, fmt.Sprintf("cannot start %s: %s", r.plan.Payload.Name, e.Stage)
	switch {
	case e.Stage == supervise.StageRefused:
		code, why = exit.Lost, fmt.Sprintf("the guard refused to start %s: %s", r.plan.Payload.Name, e.Text)
	case e.Stage == supervise.StageGate && r.domain.payload.signal != 0: // whoever told us told our gate too
		code, why = exit.Signaled(int(r.domain.payload.signal)), fmt.Sprintf("stopped by %v before the payload was started", r.domain.payload.signal)
	case e.Errno == syscall.ENOENT:
		code, why = exit.NotFound, fmt.Sprintf("command %s not found: check the path, and PATH if it has no slash", r.plan.Payload.Name)
	case e.Errno == syscall.EACCES:
		why = fmt.Sprintf("command %s cannot be executed (%v): check its mode and the mount's noexec", r.plan.Payload.Name, e.Errno)
	case e.Errno != 0:
		why += ": " + e.Errno.Error()
	}
	r.handle(message{event: PayloadExited, code: code, reason: why})
}

func (r *Runner) hearExited(e supervise.Event) {
	if e.ID != payloadID {
		r.ended(e.ID, procEnd{status: e.Status, text: r.domain.payload.memory.tell(e.Status, time.Now())})
		return
	}
	r.domain.payload.exited, r.domain.payload.status = true, e.Status
	code := exitCode(e.Status)
	r.log.Info("payload exited", "code", code, "pid", r.domain.payload.pid)
	m := message{event: PayloadExited, code: code, reason: fmt.Sprintf("%s ended with exit code %d", r.plan.Payload.Name, code)}
	if e.Status.Signaled() {
		m.reason = fmt.Sprintf("%s was ended by signal %d (%v)", r.plan.Payload.Name, int(e.Status.Signal()), e.Status.Signal())
	}
	m.reason += r.domain.payload.memory.tell(e.Status, time.Now())
	if r.verdict == nil {
		r.verdict = &Verdict{Code: m.code, Reason: m.reason, Payload: true}
	}
	r.handle(m)
}

// hearSignal is an order to stop. Before the payload runs it ends the run with 128+n.
func (r *Runner) hearSignal(s syscall.Signal) {
	if r.domain.payload.signal == 0 {
		r.domain.payload.signal = s
	}
	r.log.Info("told to stop", "signal", s.String(), "phase", r.phase.String())
	m := message{event: Stop}
	if r.phase < Launching {
		m.code, m.reason = exit.Signaled(int(s)), fmt.Sprintf("stopped by %v before the payload was started", s)
	}
	r.handle(m)
}

// hearKilling is the guard's account of deadlines and proofs.
func (r *Runner) hearKilling(e supervise.Event) {
	if r.domain.takeover && (e.Kind == supervise.Empty || e.Kind == supervise.Dead) {
		return // said before we killed it; only the take-over's own proof ends the killing now
	}
	switch e.Kind {
	case supervise.Deadline:
		if e.Stage == supervise.StageKill {
			r.domain.killed = true
			return
		}
		if r.phase >= Finishing { // it takes no lease since it was asked for the last word: a loss is the tenure's to tell
			return
		}
		r.handle(message{event: LeaseLost, code: exit.Lost, reason: "lease lost: no heartbeat was acknowledged in time"})
	case supervise.Stuck:
		if !slices.Equal(r.domain.stuck, e.PIDs) {
			r.log.Error("killed, but not dead: the lock is kept and renewed until they are", "pids", e.PIDs)
		}
		r.domain.stuck = e.PIDs
		r.weighLoss()
		if !r.domain.askedAt.IsZero() {
			r.domain.askedAt = r.clock()
		}
	case supervise.Empty:
		r.empty()
	case supervise.Dead:
		r.domain.askedAt = clock.Stamp{}
		r.domain.stuck = nil
		r.handle(message{event: Dead})
	case supervise.Leased:
		r.domain.goesBy = e.Kill
	case supervise.Refused:
		r.log.Warn("the guard refused an order", "why", e.Text)
	}
}

func (r *Runner) hearMount(f mountcheck.Finding, open bool) {
	if !open {
		r.seen.silent = true
		return
	}
	r.log.Info("mount finding", "mount", f.Path, "finding", string(f.Kind), "detail", f.Detail)
	if !f.Fatal() {
		return
	}
	code := exit.MountLost
	if r.phase < Launching {
		code = FindingCode(r.plan.Mounts, f)
	}
	r.handle(message{event: MountLost, code: code, reason: findingText(f)})
}
