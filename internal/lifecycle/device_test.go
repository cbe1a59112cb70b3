package lifecycle

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/courier"
)

// keptRun is a run that was told to stop, and whose device cannot be taken down.
func keptRun(t *testing.T, cut error) *run {
	t.Helper()
	x, _ := withStore(t, func(_ *Plan, x *run) { x.cutsOff(cut) }, func(q courier.Request) *courier.Answer {
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
	return x
}

// The lease is lost while a device is kept: the run's end is the loss, not the payload's, also where the device could be
// cut off: what was not synced was thrown away, and another holder may be at work.
func TestLeaseLostWithADeviceKept(t *testing.T) {
	for name, cut := range map[string]error{"cut off": nil, "still attached": errors.New("it hangs")} {
		t.Run(name, func(t *testing.T) {
			x := keptRun(t, cut)
			x.lock.expire()
			if v := x.ends(76); v.Payload || !strings.Contains(v.Reason, "before the device was down; before that, payload was ended by signal 15") {
				t.Errorf("%+v", v)
			}
		})
	}
}

// The guard dies while a device is kept: if it cannot be cut off either, somebody has to know.
func TestGuardGoneWithADeviceKept(t *testing.T) {
	for cut, code := range map[error]int{nil: 143, errors.New("it hangs"): 70} {
		x := keptRun(t, cut)
		x.guard.die()
		if v := x.ends(code); code == 70 && !strings.Contains(v.Reason, "is still attached, without the lock: it hangs; before that, ") {
			t.Errorf("%+v", v)
		}
	}
}

// cutOffs are the ways in which cutting a device off ends, and how the device is then.
func cutOffs() map[string]struct {
	err   error
	state string
} {
	return map[string]struct {
		err   error
		state string
	}{"cut off": {nil, deviceDown}, "still attached": {errors.New("it hangs"), deviceKept}}
}

// The guard's deadline comes while a device is being cut off, and ends that phase: what came of it is heard all the same.
func TestDeadlineWhileADeviceIsCutOff(t *testing.T) {
	for name, c := range cutOffs() {
		t.Run(name, func(t *testing.T) {
			began, letGo := make(chan struct{}), make(chan struct{})
			x, _ := withStore(t, func(_ *Plan, x *run) {
				x.cut = func(*Runner, courier.Request, []string) error {
					close(began)
					<-letGo
					return c.err
				}
			}, func(courier.Request) *courier.Answer { return done() })
			x.in(Serving)
			x.attach()
			x.lock.expire()
			select {
			case <-began:
			case <-time.After(patience):
				t.Fatal("it is not cut off")
			}
			x.r.post(message{event: LeaseLost, code: 76, reason: "no heartbeat was acknowledged in time"})
			x.until("the next phase", func() bool { return x.r.Status().Phase != Draining.String() })
			close(letGo)
			x.ends(76)
			if got := x.r.domain.drain.device.status.State; got != c.state {
				t.Errorf("the device is %q, expected %q", got, c.state)
			}
		})
	}
}

// What went wrong first stands; only the payload's own end and an order to stop do not.
func TestOverrule(t *testing.T) {
	for _, c := range []struct {
		was  *Verdict
		want int
	}{
		{nil, 76}, {&Verdict{Code: 0, Payload: true}, 76}, {&Verdict{Code: 74, Payload: true}, 76},
		{&Verdict{Code: 143}, 76}, {&Verdict{Code: 72}, 72}, {&Verdict{Code: 127}, 127},
	} {
		r := &Runner{verdict: c.was}
		if r.overrule(76, "lost"); r.verdict.Code != c.want {
			t.Errorf("%+v: %+v, expected code %d", c.was, r.verdict, c.want)
		}
	}
}

// An Up that failed and could not be undone keeps the lock as a Down does; its own code stands.
func TestLeaseLostAfterAFailedStart(t *testing.T) {
	x := keptRun(t, nil)
	x.r.post(message{then: func() { x.r.verdict = &Verdict{Code: 72, Reason: "it did not come up"} }})
	x.lock.expire()
	x.ends(72)
	if !slices.Contains(x.guard.calls, "finish") {
		t.Error("the guard's last word was not asked for")
	}
}
