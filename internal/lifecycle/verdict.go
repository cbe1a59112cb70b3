package lifecycle

import "github.com/interlock-run/interlock/internal/exit"

// decide sets the verdict. The first cause stands: what a loss or a stop makes the payload do comes later.
func (r *Runner) decide(code int, reason string) {
	if r.verdict == nil {
		r.verdict = &Verdict{Code: code, Reason: reason}
	}
}

// loseLease notes the loss, the first if there are several.
func (r *Runner) loseLease(m message) {
	if !r.hold.lost {
		r.hold.lost, r.hold.loss = true, Verdict{Code: m.code, Reason: m.reason}
	}
	r.endProbes()
	r.weighLoss()
}

// weighLoss makes a loss the run's end where a successor may have started beside what is left here: a device that is
// cut off now, as by a loss of power, or processes that were killed and live.
func (r *Runner) weighLoss() {
	switch {
	case !r.hold.lost:
	case r.domain.drain.device.begun:
		r.overrule(r.hold.loss.Code, r.hold.loss.Reason+", before the device was down")
	case len(r.domain.stuck) > 0:
		r.overrule(r.hold.loss.Code, r.hold.loss.Reason+", before everything that was killed was dead")
	}
}

// overrule is decide where the payload's own end, or the order to stop, is not what whoever reads the exit code has
// to know: the lock was lost while something of ours was left (E1), and a start here, which he has to see to, clears that.
func (r *Runner) overrule(code int, reason string) {
	if v := r.verdict; v != nil {
		if !v.Payload && v.Code < exit.Signaled(1) {
			return
		}
		reason += "; before that, " + v.Reason
	}
	r.verdict = &Verdict{Code: code, Reason: reason}
}
