package lock

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
)

// shared is how the service of the tests answers beside foreign peers.
type shared struct {
	resets   int
	reset    func(n int) (Proof, error) // n counts from 1
	unbroken func(Evidence) (bool, error)
	mark     func() (int64, error)
}

func (p *place) Reset(context.Context) (Proof, error) {
	p.s.mu.Lock()
	p.s.resets++
	n := p.s.resets
	p.s.mu.Unlock()
	return p.s.reset(n)
}
func (p *place) Mark(context.Context) (int64, error) { return p.s.mark() }
func (p *place) Unbroken(_ context.Context, e Evidence) (bool, error) {
	return p.s.unbroken(e)
}

func (s *service) resetCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resets
}

// beside is a service with foreign peers that never do anything, and options for it.
func beside() (*service, Options) {
	o := options(bubbleClock())
	o.Foreign = true
	s := &service{}
	s.reset = func(int) (Proof, error) { return Proof{From: o.Clock(), For: o.Timing.ServerTimeout()}, nil }
	s.unbroken = func(Evidence) (bool, error) { return true, nil }
	s.mark = func() (int64, error) { return 7, nil }
	return s, o
}

func drained() Record {
	return Record{Token: 1, Holder: "old", Node: "n1", BootID: "b1", Phase: Drained}
}

// The lease ends with the server's timer, however long the own hold is, and leaves no grace.
func TestForeignLeaseIsCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := beside()
		const granted = 12 * time.Second
		var from clock.Stamp
		s.reset = func(int) (Proof, error) {
			from = o.Clock()
			wait(context.Background(), 300*time.Millisecond) // the proof takes its time
			return Proof{From: from, For: granted}, nil
		}
		s.put(t, drained())
		s.tokens = 1
		c := contend(t, s, o)
		stop := c.pulse()
		defer func() { stop(); c.t.Abandon() }()
		<-c.leased
		l := c.lease(0)
		if want := from.Add(usable(granted)); l.Deadline != want {
			t.Errorf("D is %v, expected %v: counted from before the proof, of what the server granted", l.Deadline.Boot, want.Boot)
		}
		if l.Term != l.Kill || l.Kill != l.Deadline.Add(-o.Timing.KillBudget-o.Timing.Margin) {
			t.Errorf("the lease is %+v: expected no grace before the kill", l)
		}
	})
}

// Acknowledged heartbeats extend nothing once the server's timer is not proven reset any more.
func TestForeignLostWithoutProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := beside()
		var from clock.Stamp
		s.reset = func(n int) (Proof, error) {
			if n > 1 {
				return Proof{}, errors.New("another term")
			}
			from = o.Clock()
			return Proof{From: from, For: o.Timing.ServerTimeout()}, nil
		}
		s.put(t, drained())
		s.tokens = 1
		c := contend(t, s, o)
		stop := c.pulse()
		defer func() { stop(); c.t.Abandon() }()
		err := <-c.lost
		kill := from.Add(o.Timing.Usable() - o.Timing.KillBudget - o.Timing.Margin)
		if late := o.Clock().HolderSince(kill); late < 0 || late > 10*time.Millisecond {
			t.Errorf("lost %v after the kill time that the only proof gives", late)
		}
		if n := len(s.written()); n < 5 {
			t.Errorf("only %d heartbeats were acknowledged: this shows nothing", n)
		}
		if !errors.Is(err, ErrLost) || s.resetCount() < o.Timing.Tries {
			t.Errorf("%v after %d proofs: expected n tries before", err, s.resetCount())
		}
	})
}

// Without any proof nothing may start, and the lock is given up.
func TestForeignNoLeaseWithoutProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := beside()
		s.reset = func(int) (Proof, error) { return Proof{}, errors.New("no answer") }
		s.put(t, drained())
		s.tokens = 1
		c := contend(t, s, o)
		stop := c.pulse()
		defer stop()
		if err := <-c.lost; !errors.Is(err, ErrUnreachable) {
			t.Errorf("lost with %v", err)
		}
		if c.count() != 0 || c.t.Status().Running {
			t.Errorf("%d leases, running %v: expected none", c.count(), c.t.Status().Running)
		}
		c.t.Abandon()
	})
}

// The timer is reset rarely enough to cost little and early enough to leave n tries.
func TestForeignProofPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := beside()
		failing := 0
		s.reset = func(n int) (Proof, error) {
			if n > 1 && failing < o.Timing.Tries-1 {
				failing++
				wait(context.Background(), o.Timing.TryTimeout-time.Millisecond)
				return Proof{}, errors.New("no answer")
			}
			failing = 0
			return Proof{From: o.Clock(), For: o.Timing.ServerTimeout()}, nil
		}
		s.put(t, drained())
		s.tokens = 1
		c := contend(t, s, o)
		stop := c.pulse()
		defer func() { stop(); c.t.Abandon() }()
		wait(context.Background(), 2*time.Minute)
		select {
		case err := <-c.lost:
			t.Fatalf("lost though one of n tries always came through: %v", err)
		default:
		}
		if n := s.resetCount(); n > 3*12 {
			t.Errorf("%d tries of a proof in 2 minutes", n)
		}
	})
}

// What a record says counts only if nobody else was between; else the own hold is owed from the grant on.
func TestForeignBetween(t *testing.T) {
	yes := func(Evidence) (bool, error) { return true, nil }
	no := func(Evidence) (bool, error) { return false, nil }
	unknown := func(Evidence) (bool, error) { return true, errors.New("compacted") }
	for _, c := range []struct {
		name     string
		phase    Phase
		unbroken func(Evidence) (bool, error)
		owed     bool
	}{
		{"drained, nobody between", Drained, yes, false},
		{"drained, somebody between", Drained, no, true},
		{"drained, not known", Drained, unknown, true},
		{"dead, nobody between", Dead, yes, false},
		{"dead, somebody between", Dead, no, true},
		{"waited out, somebody between", Waiting, no, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := beside()
				s.unbroken = c.unbroken
				r := drained()
				r.Phase = c.phase
				s.put(t, r)
				s.tokens = 1
				began := o.Clock()
				x := contend(t, s, o)
				stop := x.pulse()
				defer func() { stop(); x.t.Abandon() }()
				<-x.leased
				waited, want := o.Clock().SuccessorSince(began), time.Duration(0)
				if c.owed {
					want = Scaled(o.Timing.Hold)
				}
				if waited < want || waited > want+time.Second {
					t.Errorf("waited %v, expected %v", waited, want)
				}
				first := s.written()[0]
				if somebody := slices.ContainsFunc(first.Owes, isUnknown); c.owed != (somebody && first.Phase == Waiting && first.WaitMS > 0) {
					t.Errorf("the first heartbeat says %+v", first)
				}
			})
		})
	}
}

// The evidence is that of the record taken over.
func TestForeignEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := beside()
		var got Evidence
		s.unbroken = func(e Evidence) (bool, error) { got = e; return true, nil }
		r := drained()
		r.Token, r.Mark = 1<<55|1, 41
		s.put(t, r)
		o.Epoch, s.tokens = 1, 1
		c := contend(t, s, o)
		defer c.t.Abandon()
		if want := (Evidence{Version: Version{CAS: 1, Seen: 1}, Token: 1, Mark: 41}); got != want {
			t.Errorf("the evidence is %+v, expected %+v", got, want)
		}
	})
}

// Other programs leave no claim: that none is there proves nothing.
func TestForeignNoRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := beside()
		o.NeverRan = func(context.Context) bool { return true }
		c := contend(t, s, o)
		defer c.t.Abandon()
		if left, why := c.t.HoldOff(); left < Scaled(o.Timing.Hold)-time.Second {
			t.Errorf("hold-off %v (%s), expected the hold", left, why)
		}
	})
}

// Whoever demands that all writes have arrived does not start behind a program that says nothing of them.
func TestForeignRequireDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := beside()
		o.RequireDrained = true
		s.unbroken = func(Evidence) (bool, error) { return false, nil }
		s.put(t, drained())
		s.tokens = 1
		if _, err := Contend(context.Background(), s, o, Forever, func(Waiter) {}); !errors.Is(err, ErrUndrained) {
			t.Errorf("Contend gave %v, expected ErrUndrained", err)
		}
	})
}

// A release leaves the driver's mark; without one it still releases.
func TestForeignMark(t *testing.T) {
	for want, mark := range map[int64]func() (int64, error){
		7: func() (int64, error) { return 7, nil },
		0: func() (int64, error) { return 9, errors.New("no answer") },
	} {
		synctest.Test(t, func(t *testing.T) {
			s, o := beside()
			s.mark = mark
			s.put(t, drained())
			s.tokens = 1
			c := contend(t, s, o)
			stop := c.pulse()
			<-c.leased
			if _, err := c.t.Release(context.Background(), Drained, true); err != nil {
				t.Fatal(err)
			}
			stop()
			last := s.written()[len(s.written())-1]
			if last.Phase != Drained || last.Mark != want {
				t.Errorf("released with %+v, expected mark %d", last, want)
			}
		})
	}
}

// The one look of --lock-wait 0 names another program for what it is, unless it may be there.
func TestForeignAheadOnce(t *testing.T) {
	for permitted, want := range map[bool]error{false: ErrConfig, true: ErrHeld} {
		synctest.Test(t, func(t *testing.T) {
			s, o := beside()
			o.Foreign = permitted
			s.queue = []*place{{s: s, token: 1, granted: make(chan struct{}), gone: make(chan struct{}), foreign: true}}
			s.tokens = 1
			if _, err := Contend(context.Background(), s, o, 0, func(Waiter) {}); !errors.Is(err, want) {
				t.Errorf("permitted %v: Contend gave %v, expected %v", permitted, err, want)
			}
		})
	}
}
