package lifecycle

import (
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/lock"
	"github.com/interlock-run/interlock/supervise"
)

// scriptedDog is a watchdog that counts.
type scriptedDog struct {
	mu                    sync.Mutex
	armed, ever, disarmed bool
	pets, arms            int
	fails                 error
	before                func() // a look at what had happened by the time of Disarm
}

func (d *scriptedDog) Arm(now, deadline clock.Stamp) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.arms++
	d.armed = d.fails == nil && deadline.Later(now)
	d.ever = d.ever || d.armed
	return d.fails
}

func (d *scriptedDog) Armed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.armed
}

func (d *scriptedDog) Pet(now, deadline clock.Stamp) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fits := deadline.Later(now)
	if fits {
		d.pets++
	}
	return fits, nil
}

func (d *scriptedDog) Disarm() error {
	if d.before != nil {
		d.before()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed, d.disarmed = false, true
	return nil
}

func (d *scriptedDog) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pets
}

func (d *scriptedDog) state() (ever, disarmed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ever, d.disarmed
}

// Armed with the lease, petted while the run turns, let go once everything is proven dead.
func TestWatchdogOfARun(t *testing.T) {
	d, finished := &scriptedDog{}, 0
	x := begin(t, func(p *Plan, x *run) {
		p.Lock.Watchdog = d
		d.before = func() { finished = x.guard.count("finish") }
	})
	x.in(Serving)
	before := d.count()
	x.until("more pets", func() bool { return d.count() > before+2 })
	if _, disarmed := d.state(); disarmed {
		t.Fatal("disarmed while the payload runs")
	}
	x.signal(syscall.SIGTERM)
	x.ends(143)
	if ever, disarmed := d.state(); !ever || !disarmed {
		t.Errorf("armed %v, disarmed %v: expected both after an ordinary stop", ever, disarmed)
	}
	if finished != 1 {
		t.Error("disarmed before the guard's last word: the end was not through, hooks and drain could hang")
	}
}

// A heartbeat is acknowledged at the moment of the release: the watchdog is not armed again.
func TestWatchdogIsNotArmedAgain(t *testing.T) {
	d := &scriptedDog{}
	x := begin(t, func(p *Plan, x *run) {
		p.Lock.Watchdog = d
		d.before = func() { x.r.post(message{event: Leased, lease: x.r.hold.lease}) }
	})
	x.in(Serving)
	x.signal(syscall.SIGTERM)
	x.ends(143)
	if d.arms != 1 {
		t.Errorf("armed %d times", d.arms)
	}
}

// A first lease that is heard of after the end starts nothing.
func TestWatchdogIsNotArmedAfterTheEnd(t *testing.T) {
	d := &scriptedDog{}
	r := New(Plan{Lock: LockPlan{Watchdog: d}}, Deps{Guard: newScriptedGuard(), Clock: clock.Now, Log: slog.New(slog.DiscardHandler)})
	r.phase = Finished
	r.handle(message{event: Leased, lease: lock.Lease{Deadline: clock.Now().Add(time.Minute)}})
	if d.arms != 0 || r.hold.lease != (lock.Lease{}) {
		t.Errorf("armed %d times, lease %+v", d.arms, r.hold.lease)
	}
}

// One that cannot be armed ends the run before anything was started.
func TestWatchdogThatCannotBeArmed(t *testing.T) {
	d := &scriptedDog{fails: errors.New("busy")}
	x := begin(t, func(p *Plan, _ *run) { p.Lock.Watchdog = d })
	x.ends(exit.Config)
	if n := x.guard.count("start"); n != 0 {
		t.Errorf("%d starts: %v", n, x.guard.calls)
	}
}

// Where nobody can prove that all is dead it is left to fire.
func TestWatchdogStaysArmedWithoutProof(t *testing.T) {
	d := &scriptedDog{}
	x := begin(t, func(p *Plan, x *run) {
		p.Lock.Watchdog = d
		x.guard.proof = supervise.Proof{How: "orphans"}
	})
	x.in(Serving)
	x.guard.die()
	x.ends(exit.Internal)
	if ever, disarmed := d.state(); !ever || disarmed {
		t.Errorf("armed %v, disarmed %v: expected it to be left armed", ever, disarmed)
	}
}
