package lifecycle

import (
	"errors"
	"sync"
	"syscall"
	"testing"

	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/exit"
	"github.com/interlock-run/interlock/supervise"
)

// scriptedDog is a watchdog that counts.
type scriptedDog struct {
	mu                    sync.Mutex
	armed, ever, disarmed bool
	pets                  int
	fails                 error
	before                func() // a look at what had happened by the time of Disarm
}

func (d *scriptedDog) Arm(now, deadline clock.Stamp) error {
	d.mu.Lock()
	defer d.mu.Unlock()
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
