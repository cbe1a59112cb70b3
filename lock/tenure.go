package lock

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/clock"
	"github.com/interlock-run/interlock/internal/mutate"
)

// A Tenure is one holder's time with the lock, from the grant to the release or the loss. It has one
// goroutine, started by Begin and joined by Release, Abandon or Leave, which waits out the hold-off,
// heartbeats and renews. It beats only while Pulse is called, so that a hung decision cannot keep the
// lock (W4).
type Tenure struct {
	o        Options
	place    Place
	token    fence.Token
	previous *Record // the record taken over, nil if there was none
	observed clock.Stamp
	in       inheritance
	foreign  foreign

	version  Version     // of the record as last known; only the loop, then only the release, touches it
	tried    clock.Stamp // when the loop's last try began
	cause    error       // of the loop's last failed try
	flight   sync.WaitGroup
	renewing atomic.Bool
	fenced   atomic.Bool // everybody whom we waited for is confirmed to be off (T6)

	notify  Notify
	stop    context.CancelFunc
	ended   chan struct{}
	gone    <-chan struct{} // the driver's hint, until it was followed
	beatNow chan struct{}

	mu    sync.Mutex
	state state
}

// Notify is how a tenure tells its owner; each is called from the tenure's one goroutine and must not
// block.
type Notify struct {
	// Lease is called for each acknowledged `running` write with the new kill time. The first one ends
	// the hold-off: nothing that can write may start before it (T5).
	Lease func(Lease)
	// Lost is called once, with the cause; nothing extends the lease afterwards (E1).
	Lost func(error)
	// Beat is called for each try of a heartbeat, for metrics.
	Beat func(Outcome, time.Duration)
}

// A Lease is a deadline by which the payload must be dead.
type Lease struct {
	Deadline clock.Stamp // D: from here a successor may start
	Kill     clock.Stamp // T_kill = D - K - M
	Term     clock.Stamp // T_term = T_kill - G
}

// state is what other goroutines may look at.
type state struct {
	lease    Lease
	running  bool // a `running` write was acknowledged
	lost     error
	pulse    clock.Stamp
	lastAck  clock.Stamp
	acked    chan struct{} // closed and replaced at each acknowledged write
	tries    int           // since the last acknowledged write
	domain   *Domain
	volumes  []string // network mounts that the payload uses
	waitLeft time.Duration
}

// Status is a snapshot of a tenure for people and metrics.
type Status struct {
	Token       fence.Token
	Previous    *Record
	HoldOffLeft time.Duration
	HoldOffWhy  string
	Running     bool
	LeaseLeft   time.Duration // to T_kill; zero before the first acknowledged `running` write
	LastAckAgo  time.Duration // since the last acknowledged write was sent
	FailedTries int
	Lost        error
	Undrained   []string // network volumes taken over with possibly late writes (E7)
}

func newTenure(place Place, token fence.Token, v Version, o Options) *Tenure {
	t := &Tenure{
		o: o, place: place, token: token, version: v,
		ended: make(chan struct{}), beatNow: make(chan struct{}, 1),
		state: state{pulse: o.Clock(), acked: make(chan struct{}), volumes: o.Volumes},
	}
	if o.Foreign {
		t.foreign.place, _ = place.(SharedPlace)
	}
	return t
}

// Token is this tenure's fencing token.
func (t *Tenure) Token() fence.Token { return t.token }

// HoldOff is how long is still to wait before `running` may be written, and why.
func (t *Tenure) HoldOff() (time.Duration, string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.left(), t.in.why
}

// Place is the driver's place, for what a driver offers beyond the contract.
func (t *Tenure) Place() Place { return t.place }

// Begin starts the one loop: hold-off, `running`, heartbeats.
func (t *Tenure) Begin(n Notify) {
	ctx, cancel := context.WithCancel(context.Background())
	t.notify, t.stop, t.gone = n, cancel, t.place.Gone()
	t.Pulse()
	go func() {
		defer close(t.ended)
		t.loop(ctx)
	}()
}

// Pulse says that the owner's decision loop turned. Without it heartbeats and keep-alives stop.
func (t *Tenure) Pulse() {
	now := t.o.Clock()
	t.mu.Lock()
	t.state.pulse = now
	t.mu.Unlock()
	t.place.Pulse()
}

// SetDomain records where the payload runs, from the next heartbeat on; nil withdraws it.
func (t *Tenure) SetDomain(d *Domain) {
	t.mu.Lock()
	t.state.domain = d
	t.mu.Unlock()
}

// SetVolumes replaces the network mounts on record, from the next heartbeat on: those that came after the
// grant, or, before the release, those alone that are not drained.
func (t *Tenure) SetVolumes(vs []string) {
	t.mu.Lock()
	t.state.volumes = vs
	t.mu.Unlock()
}

func (t *Tenure) volumes() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.volumes
}

// WithdrawDomain takes the domain off the record and waits until a heartbeat that was sent afterwards is
// acknowledged.
func (t *Tenure) WithdrawDomain(ctx context.Context) error {
	t.SetDomain(nil)
	return t.Recorded(ctx)
}

// Recorded waits until a heartbeat is acknowledged that is sent from now on.
func (t *Tenure) Recorded(ctx context.Context) error {
	from := t.o.Clock()
	for {
		t.mu.Lock()
		acked, last := t.state.acked, t.state.lastAck
		t.mu.Unlock()
		if last.Later(from) {
			return nil
		}
		t.Beat()
		select {
		case <-acked:
		case <-t.ended:
			return ErrLost
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Beat asks for a heartbeat at once.
func (t *Tenure) Beat() {
	select {
	case t.beatNow <- struct{}{}:
	default:
	}
}

// Status never blocks on the lock service.
func (t *Tenure) Status() Status {
	now := t.o.Clock()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Status{
		Token: t.token, Previous: t.previous, HoldOffLeft: t.state.waitLeft, HoldOffWhy: t.in.why,
		Running: t.state.running, FailedTries: t.state.tries, Lost: t.state.lost, Undrained: t.in.volumes,
	}
	if t.state.running {
		s.LeaseLeft = max(0, -now.HolderSince(t.state.lease.Kill))
	}
	if !t.state.lastAck.IsZero() {
		s.LastAckAgo = now.HolderSince(t.state.lastAck)
	}
	return s
}

// left is what remains of the hold-off by a successor's clock.
func (t *Tenure) left() time.Duration {
	now := t.o.Clock()
	if mutate.Broken("no-hold-off") { // T3: start not before t_obs + owed
		return 0
	}
	if t.fenced.Load() {
		return max(0, t.foreign.left(now))
	}
	return max(0, t.in.owed-now.SuccessorSince(t.observed), t.foreign.left(now))
}

func (t *Tenure) lose(cause error) {
	t.mu.Lock()
	first := t.state.lost == nil
	if first {
		t.state.lost = fmt.Errorf("%w: %w", ErrLost, cause)
	}
	lost := t.state.lost
	t.mu.Unlock()
	if first {
		t.notify.Lost(lost)
	}
}
