package lock

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-run/interlock/fence"
	"github.com/interlock-run/interlock/internal/clock"
)

func decodeAny(data []byte, r *Record) error { return json.Unmarshal(data, r) }

// within runs one scenario in a bubble with a contender on the service, pulsing.
func within(t *testing.T, prepare func(*service, *Options), play func(s *service, c *contender)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &service{tokens: 100}
		o := options(bubbleClock())
		if prepare != nil {
			prepare(s, &o)
		}
		c := contend(t, s, o)
		stop := c.pulse()
		play(s, c)
		stop()
		c.t.Abandon()
	})
}

// T3: what is owed, by phase of the record found, measured at the first `running` record.
func TestHoldOffByRecord(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		found  Record
		settle time.Duration
		want   time.Duration
	}{
		"drained":                    {Record{Phase: Drained, Token: 1}, 0, 0},
		"drained with own settle":    {Record{Phase: Drained, Token: 1}, 5 * s, 0},
		"dead":                       {Record{Phase: Dead, Token: 1}, 0, 0},
		"dead, own settle":           {Record{Phase: Dead, Token: 1}, 5 * s, 5020 * time.Millisecond},
		"dead, record's settle":      {Record{Phase: Dead, Token: 1, SettleMS: 7000}, 5 * s, 7028 * time.Millisecond},
		"running":                    {Record{Phase: Running, Token: 1, WaitMS: 30000}, 0, 30120 * time.Millisecond},
		"running, short":             {Record{Phase: Running, Token: 1, WaitMS: 3000}, 0, 3012 * time.Millisecond},
		"running, settle":            {Record{Phase: Running, Token: 1, WaitMS: 3000, SettleMS: 1000}, 2 * s, 5020 * time.Millisecond},
		"waiting, as it stands":      {Record{Phase: Waiting, Token: 1, WaitMS: 9000}, 0, 9000 * time.Millisecond},
		"waiting, own settle larger": {Record{Phase: Waiting, Token: 1, WaitMS: 9000, SettleMS: 1000}, 3 * s, 11008 * time.Millisecond},
		"our own token, drained":     {Record{Phase: Drained, Token: 101}, 0, 20080 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(sv *service, o *Options) {
				o.Timing.Settle = c.settle
				sv.put(t, c.found)
			}, func(sv *service, ct *contender) {
				start := ct.t.observed
				<-ct.leased
				if got := ct.when(0).HolderSince(start); got < c.want || got > c.want+5*time.Millisecond {
					t.Errorf("first lease %v after the read, want %v", got, c.want)
				}
				for _, r := range sv.written()[:len(sv.written())-1] {
					if r.Phase != Waiting {
						t.Errorf("a %s record was written in the hold-off", r.Phase)
					}
				}
			})
		})
	}
}

func TestHoldOffWithoutRecord(t *testing.T) {
	for name, c := range map[string]struct {
		neverRan bool
		holdMax  time.Duration
		want     time.Duration
	}{
		"nobody ever ran":   {true, 0, 0},
		"no proof":          {false, 0, 20080 * time.Millisecond},
		"hold-max by hand":  {false, 45 * time.Second, 45180 * time.Millisecond},
		"never ran and max": {true, 45 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(_ *service, o *Options) {
				o.NeverRan = func(context.Context) bool { return c.neverRan }
				if c.holdMax > 0 {
					o.Timing.HoldMax, o.Timing.HoldMaxSet = c.holdMax, true
				}
			}, func(sv *service, ct *contender) {
				start := ct.t.observed
				<-ct.leased
				if got := ct.when(0).HolderSince(start); got < c.want || got > c.want+5*time.Millisecond {
					t.Errorf("first lease %v after the read, want %v", got, c.want)
				}
				if first := sv.written()[0]; c.want > 0 && (len(first.Owes) != 1 || !first.Owes[0].Unknown) {
					t.Errorf("owes %+v: expected unknown", first.Owes)
				}
			})
		})
	}
}

// T4: what is left shrinks on record, and a third contender owes only that, not the whole again.
func TestChainOfDeadContendersDoesNotGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{tokens: 100}
		o := options(bubbleClock())
		s.put(t, Record{Phase: Running, Token: 1, Node: "old", WaitMS: 20000})
		from := o.Clock()
		for range 3 { // each dies 5 s into its hold-off
			c := contend(t, s, o)
			stop := c.pulse()
			<-time.After(5 * time.Second)
			stop()
			c.t.Abandon()
			s.remove(c.place)
		}
		c := contend(t, s, o)
		stop := c.pulse()
		<-c.leased
		got := c.when(0).HolderSince(from)
		if got < 20080*time.Millisecond || got > 20080*time.Millisecond+4*o.Timing.Heartbeat {
			t.Errorf("the last of the chain started %v after the holder's last word: expected its whole hold, and at most a heartbeat more for each death", got)
		}
		for _, r := range s.written() {
			if r.Phase == Waiting && (len(r.Owes) != 1 || r.Owes[0].Node != "old") {
				t.Errorf("a waiting record owes %+v: expected the old holder alone", r.Owes)
			}
			if r.Phase == Running && len(r.Owes) != 0 {
				t.Errorf("a running record still owes %+v", r.Owes)
			}
		}
		stop()
		c.t.Abandon()
	})
}

// T4, W3: absence is no version, it comes back when a record is removed. A try that creates the record may
// land late, behind our own `running` and a removal: so it says a whole wait, however little is left.
func TestWaitingThatCreatesTheRecordSaysAWholeWait(t *testing.T) {
	within(t, func(s *service, o *Options) { s.put(t, Record{Phase: Running, Token: 1, WaitMS: 20000}) },
		func(s *service, c *contender) {
			<-time.After(15 * time.Second)
			s.mu.Lock()
			s.record = Stored{}
			before := len(s.writes)
			s.mu.Unlock()
			<-time.After(4 * time.Second)
			after := s.written()[before:]
			if len(after) < 2 {
				t.Fatalf("%d records written after the removal, expected two", len(after))
			}
			whole := ceilMS(Scaled(c.t.o.Timing.Hold))
			if first := after[0]; first.Phase != Waiting || first.WaitMS < whole {
				t.Errorf("the record that was created says %s, wait %d ms: expected waiting, at least %d", first.Phase, first.WaitMS, whole)
			}
			if next := after[1]; next.WaitMS > 6000 {
				t.Errorf("the record after it says %d ms: expected what is left", next.WaitMS)
			}
		})
}

// The deadline counts from before the request was sent, not from the reply.
func TestLeaseCountsFromTheSend(t *testing.T) {
	within(t, func(s *service, o *Options) {
		s.put(t, Record{Phase: Drained, Token: 1})
		s.fault = func(*place, int) fault { return fault{after: 1500 * time.Millisecond} }
	}, func(_ *service, c *contender) {
		<-c.leased
		usable := DefaultTiming().Usable()
		if left := -c.when(0).HolderSince(c.lease(0).Deadline); left > usable-1500*time.Millisecond {
			t.Errorf("%v left of the lease when the reply came after 1.5s: expected at most %v", left, usable-1500*time.Millisecond)
		}
	})
}

// W2: a lost reply extends nothing, though the write landed; the next try adopts its version.
func TestLostReplyExtendsNothing(t *testing.T) {
	within(t, func(s *service, o *Options) {
		s.put(t, Record{Phase: Drained, Token: 1})
		s.fault = func(_ *place, n int) fault { return fault{lose: n == 2} }
	}, func(s *service, c *contender) {
		<-c.leased
		first := c.lease(0)
		<-c.leased
		second := c.lease(1)
		gap := second.Deadline.HolderSince(first.Deadline)
		// R, the lost try's timeout, a failed compare-and-set, a pause
		if want := 2*time.Second + 2*time.Second + retryPause; gap < want-10*time.Millisecond {
			t.Errorf("the lease moved on by %v: expected %v, from the try that was acknowledged", gap, want)
		}
		if c.t.isLost() {
			t.Error("lost by our own content")
		}
	})
}

func TestOtherTenuresContentIsLost(t *testing.T) {
	within(t, func(s *service, o *Options) { s.put(t, Record{Phase: Drained, Token: 1}) },
		func(s *service, c *contender) {
			<-c.leased
			s.mu.Lock()
			s.put(t, Record{Phase: Running, Token: 500, WaitMS: 1})
			s.mu.Unlock()
			if err := <-c.lost; !errors.Is(err, errOverride) || !errors.Is(err, ErrLost) {
				t.Errorf("lost by %v", err)
			}
		})
}

func TestKeyGoneIsLostAtOnce(t *testing.T) {
	within(t, func(s *service, o *Options) { s.put(t, Record{Phase: Drained, Token: 1}) },
		func(s *service, c *contender) {
			<-c.leased
			before := c.t.o.Clock()
			s.remove(c.place)
			if err := <-c.lost; !errors.Is(err, errKeyGone) {
				t.Errorf("lost by %v", err)
			}
			if took := c.t.o.Clock().HolderSince(before); took > 10*time.Millisecond {
				t.Errorf("noticed after %v: the driver's hint must be followed at once", took)
			}
		})
}

// W3: a removed record is written again under the same guard.
func TestRemovedRecordIsWrittenAgain(t *testing.T) {
	within(t, func(s *service, o *Options) { s.put(t, Record{Phase: Drained, Token: 1}) },
		func(s *service, c *contender) {
			<-c.leased
			s.mu.Lock()
			s.record = Stored{}
			s.mu.Unlock()
			<-c.leased
			<-c.leased
			v, _ := s.View(context.Background())
			if !v.Record.Exists() || c.t.isLost() {
				t.Errorf("record there: %v, lost: %v", v.Record.Exists(), c.t.isLost())
			}
		})
}

// E1: without an acknowledged heartbeat the tenure is lost at T_term, and a late one extends nothing.
func TestLostByTime(t *testing.T) {
	cut := false
	within(t, func(s *service, o *Options) {
		s.put(t, Record{Phase: Drained, Token: 1})
		s.fault = func(*place, int) fault { return fault{drop: cut} }
	}, func(s *service, c *contender) {
		<-c.leased
		s.mu.Lock()
		cut = true
		s.mu.Unlock()
		<-c.lost
		n := c.count()
		late := c.t.o.Clock().HolderSince(c.lease(n - 1).Term)
		if late < 0 || late > 2*time.Second+10*time.Millisecond {
			t.Errorf("lost %v after T_term: expected at most one try's timeout", late)
		}
		s.mu.Lock()
		cut = false
		s.mu.Unlock()
		<-time.After(10 * time.Second)
		if c.count() != n {
			t.Error("the lease was extended after the loss")
		}
		if last := s.written()[len(s.written())-1]; time.Since(last.At) > 5*time.Second {
			t.Error("heartbeats stopped after a loss by time: what is not proven dead must keep the lock")
		}
	})
}

// W4: no heartbeat and no keep-alive while the decision loop hangs.
func TestHungDecisionStopsHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{tokens: 100}
		s.put(t, Record{Phase: Drained, Token: 1})
		c := contend(t, s, options(bubbleClock()))
		<-c.leased // nobody pulses from here on
		<-time.After(5 * time.Second)
		n, alive := len(s.written()), s.keepAlives(c.place)
		<-time.After(30 * time.Second)
		if got := len(s.written()); got != n {
			t.Errorf("%d heartbeats without a turn of the loop", got-n)
		}
		if got := s.keepAlives(c.place); got != alive {
			t.Errorf("%d keep-alives without a turn of the loop", got-alive)
		}
		if err := <-c.lost; !errors.Is(err, ErrLost) {
			t.Errorf("lost by %v", err)
		}
		c.t.Abandon()
	})
}

// T1: a failed read is repeated, never taken for an absent record, and nothing is written before it.
func TestReadIsRepeatedBeforeTheFirstWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{tokens: 100}
		s.put(t, Record{Phase: Running, Token: 1, WaitMS: 5000})
		o := options(bubbleClock())
		p, _ := s.Join(context.Background())
		p.(*place).failGet = 3
		ten, err := takeOver(context.Background(), p, o, &observations{})
		if err != nil || len(s.written()) != 0 || p.(*place).reads != 4 {
			t.Fatalf("err %v, %d writes, %d reads", err, len(s.written()), p.(*place).reads)
		}
		if left, _ := ten.HoldOff(); left == 0 {
			t.Error("no hold-off though the record says running")
		}
	})
}

func TestRefusedRecords(t *testing.T) {
	good := Record{Phase: Running, Token: 1, WaitMS: 20000}
	for name, c := range map[string]struct {
		data string
		rec  func(*Record)
		want error
	}{
		"not JSON":            {data: "garbage", want: ErrBadRecord},
		"other format":        {rec: func(r *Record) { r.V = 2 }, want: ErrBadRecord},
		"negative wait":       {rec: func(r *Record) { r.WaitMS = -1 }, want: ErrBadRecord},
		"wait above hold-max": {rec: func(r *Record) { r.WaitMS = 60001 }, want: ErrBadRecord},
		"waiting too long":    {rec: func(r *Record) { r.Phase, r.WaitMS = Waiting, 66001 }, want: ErrBadRecord},
		"unknown phase":       {rec: func(r *Record) { r.Phase = "idle" }, want: ErrBadRecord},
		"no token":            {rec: func(r *Record) { r.Token = 0 }, want: ErrBadRecord},
		"higher token":        {rec: func(r *Record) { r.Token = 102 }, want: ErrTokenBack},
		"undrained":           {rec: func(r *Record) { r.Volumes = []string{"nfs"} }, want: ErrUndrained},
		"undrained, dead":     {rec: func(r *Record) { r.Phase, r.Volumes = Dead, []string{"nfs"} }, want: ErrUndrained},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{tokens: 100}
				r := good
				r.V = recordVersion
				if c.rec != nil {
					c.rec(&r)
				}
				data, err := json.Marshal(r)
				if err != nil {
					t.Fatal(err)
				}
				if c.data != "" {
					data = []byte(c.data)
				}
				s.record = Stored{Data: data, Version: Version{1, 1}}
				o := options(bubbleClock())
				o.RequireDrained = true
				_, err = Contend(context.Background(), s, o, Forever, func(Waiter) {})
				if !errors.Is(err, c.want) {
					t.Errorf("%v: expected %v", err, c.want)
				}
				if s.keys() != 0 || len(s.written()) != 0 {
					t.Errorf("%d keys and %d writes are left: expected the own key deleted and nothing written", s.keys(), len(s.written()))
				}
			})
		})
	}
}

func TestRelease(t *testing.T) {
	for name, c := range map[string]struct {
		found   Record
		fault   func(n int) fault
		phase   Phase
		started bool
		want    Phase
		volumes int
	}{
		"drained":                        {found: Record{Phase: Drained}, phase: Drained, started: true, want: Drained},
		"dead names the own volumes":     {found: Record{Phase: Drained}, phase: Dead, started: true, want: Dead, volumes: 1},
		"nothing started":                {found: Record{Phase: Drained}, phase: Dead, want: Drained},
		"nothing started, taken over":    {found: Record{Phase: Dead, Volumes: []string{"theirs"}}, phase: Drained, want: Dead, volumes: 1},
		"dead keeps what was taken over": {found: Record{Phase: Dead, Volumes: []string{"theirs"}}, phase: Dead, started: true, want: Dead, volumes: 2},
		"reply lost":                     {found: Record{Phase: Drained}, fault: func(n int) fault { return fault{lose: n == 2} }, phase: Drained, started: true, want: Drained},
		"dropped once":                   {found: Record{Phase: Drained}, fault: func(n int) fault { return fault{drop: n == 2} }, phase: Drained, started: true, want: Drained},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(s *service, o *Options) {
				c.found.Token = 1
				s.put(t, c.found)
				o.Volumes = []string{"ours"}
				if c.fault != nil {
					s.fault = func(_ *place, n int) fault { return c.fault(n) }
				}
			}, func(s *service, ct *contender) {
				<-ct.leased
				_, err := ct.t.Release(context.Background(), c.phase, c.started)
				if err != nil {
					t.Fatal(err)
				}
				last := s.written()[len(s.written())-1]
				if last.Phase != c.want || len(undrained(append(last.Owes, Owed{Volumes: last.Volumes}))) != c.volumes || last.WaitMS != 0 {
					t.Errorf("record says %s with volumes %v, wait %d: expected %s with %d", last.Phase, last.Volumes, last.WaitMS, c.want, c.volumes)
				}
				if s.keys() != 0 {
					t.Error("the key is still there")
				}
				n := len(s.written())
				<-time.After(time.Minute)
				if len(s.written()) != n {
					t.Error("something was written after the release (E3)")
				}
			})
		})
	}
}

// E2: before `running` was acknowledged only the key goes; the record stays as it is.
func TestReleaseInTheHoldOff(t *testing.T) {
	within(t, func(s *service, o *Options) { s.put(t, Record{Phase: Running, Token: 1, WaitMS: 20000}) },
		func(s *service, c *contender) {
			<-time.After(5 * time.Second)
			if phase, err := c.t.Release(context.Background(), Drained, false); phase != "" || err != nil {
				t.Fatal(phase, err)
			}
			if last := s.written()[len(s.written())-1]; last.Phase != Waiting || last.WaitMS == 0 {
				t.Errorf("the record says %s, wait %d: expected what is left of the hold", last.Phase, last.WaitMS)
			}
		})
}

func TestReleaseWithoutSpaceDeletesTheKey(t *testing.T) {
	full := false
	within(t, func(s *service, o *Options) {
		s.put(t, Record{Phase: Drained, Token: 1})
		s.fault = func(*place, int) fault { return fault{refuse: full} }
	}, func(s *service, c *contender) {
		<-c.leased
		s.mu.Lock()
		full = true
		s.mu.Unlock()
		if _, err := c.t.Release(context.Background(), Drained, true); err == nil {
			t.Error("no error, though the record could not be written")
		}
		if s.keys() != 0 {
			t.Error("the key is still there")
		}
	})
}

func TestInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{tokens: 100}
		created, _, err := Init(context.Background(), s, options(bubbleClock()))
		if !created || err != nil || s.keys() != 0 || s.written()[0].Phase != Drained {
			t.Fatalf("created %v, %v, %d keys", created, err, s.keys())
		}
		before := s.record
		created, existing, err := Init(context.Background(), s, options(bubbleClock()))
		if created || err != nil || existing.Version != before.Version || s.record.Version != before.Version {
			t.Errorf("a second init: created %v, %v; an existing record is never changed", created, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &service{tokens: 100}
		held, _ := s.Join(context.Background())
		if _, _, err := Init(context.Background(), s, options(bubbleClock())); !errors.Is(err, ErrHeld) {
			t.Errorf("init of a held lock: %v", err)
		}
		_ = held
	})
}

func TestWaitEnds(t *testing.T) {
	for name, limit := range map[string]time.Duration{"one try": 0, "bounded": 5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{tokens: 100}
				if _, err := s.Join(context.Background()); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				_, err := Contend(context.Background(), s, options(bubbleClock()), limit, func(Waiter) {})
				if !errors.Is(err, ErrHeld) || time.Since(began) > limit+time.Second || s.keys() != 1 {
					t.Errorf("%v after %v, %d keys", err, time.Since(began), s.keys())
				}
			})
		})
	}
}

// The wait bounds only the time until the grant, never the hold-off.
func TestWaitDoesNotBoundTheHoldOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{tokens: 100}
		s.put(t, Record{Phase: Running, Token: 1, WaitMS: 20000})
		ten, err := Contend(context.Background(), s, options(bubbleClock()), time.Second, func(Waiter) {})
		if err != nil {
			t.Fatal(err)
		}
		c := &contender{t: ten}
		leased := make(chan struct{}, 10)
		ten.Begin(Notify{Lease: func(Lease) { leased <- struct{}{} }, Lost: func(error) {}, Beat: func(Outcome, time.Duration) {}})
		stop := c.pulse()
		<-leased
		stop()
		ten.Abandon()
	})
}

// T2: the earliest sight of exactly the version that was read counts; another version's does not.
func TestObservedVersion(t *testing.T) {
	now := bubbleClock()
	read := now()
	seen := observations{}
	early, other := read.Add(-8*time.Second), read.Add(-15*time.Second)
	seen.saw(Version{CAS: 1, Seen: 1}, other)
	seen.saw(Version{CAS: 2, Seen: 2}, early)
	seen.saw(Version{CAS: 2, Seen: 2}, read)
	if got := seen.earliest(Version{CAS: 2, Seen: 2}, read); got != early {
		t.Errorf("t_obs %v: expected the first sight of that version, %v", got, early)
	}
	if got := seen.earliest(Version{CAS: 1, Seen: 9}, read); got != read {
		t.Errorf("t_obs %v of a version never seen: expected the read's %v", got, read)
	}
}

func TestTokenEpochIsOutside(t *testing.T) {
	within(t, func(s *service, o *Options) { o.Epoch = 2; s.put(t, Record{Phase: Drained, Token: 1 << fence.RawBits}) },
		func(_ *service, c *contender) {
			if c.t.Token().Epoch() != 2 || c.t.Token().Raw() != 101 {
				t.Errorf("token %d: epoch %d, raw %d", c.t.Token(), c.t.Token().Epoch(), c.t.Token().Raw())
			}
			<-c.leased
		})
}

// The last of n tries that hang may still land: pauses between tries must not eat into them (section 2).
func TestAllTriesFit(t *testing.T) {
	cut := 0
	within(t, func(s *service, o *Options) {
		s.put(t, Record{Phase: Drained, Token: 1})
		tm := &o.Timing
		need := tm.Heartbeat + time.Duration(tm.Tries)*tm.TryTimeout + tm.Grace + tm.KillBudget + tm.Margin
		tm.Hold = need + need/200 // just what Check asks for
		if errs := tm.Check(); len(errs) > 0 {
			t.Fatal(errs)
		}
		s.fault = func(*place, int) fault {
			switch cut++; cut {
			case 2, 3:
				return fault{drop: true}
			case 4:
				return fault{after: o.Timing.TryTimeout - 50*time.Millisecond}
			}
			return fault{}
		}
	}, func(_ *service, c *contender) {
		<-c.leased
		select {
		case <-c.leased:
		case err := <-c.lost:
			t.Errorf("lost with a try left: %v", err)
		}
	})
}

// What was written before the domain was withdrawn does not count as its withdrawal, however late it is sent.
func TestWithdrawnDomainIsOffTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{tokens: 100}
		s.put(t, Record{Phase: Drained, Token: 1})
		s.fault = func(_ *place, n int) fault { return fault{before: time.Duration(n/4) * time.Second} }
		now, c := bubbleClock(), (*contender)(nil)
		o := options(now)
		withdrawn := make(chan error, 1)
		var once sync.Once
		armed := atomic.Bool{}
		o.Clock = func() clock.Stamp {
			pc, _, _, _ := runtime.Caller(1)
			if armed.Load() && strings.HasSuffix(runtime.FuncForPC(pc).Name(), "(*Tenure).beat") {
				once.Do(func() { // between this beat's record and its send
					go func() { withdrawn <- c.t.WithdrawDomain(context.Background()) }()
					<-time.After(time.Millisecond)
				})
			}
			return now()
		}
		c = contend(t, s, o)
		<-c.leased
		c.t.SetDomain(&Domain{PIDNS: 1})
		<-c.leased // with the domain on record
		c.t.Pulse()
		armed.Store(true)
		if err := <-withdrawn; err != nil {
			t.Fatal(err)
		}
		if all := s.written(); all[len(all)-1].Domain != nil {
			t.Error("the domain is on record still")
		}
		c.t.Abandon()
	})
}

// A place that is lost again and again must not turn into a storm of new keys.
func TestLostPlacesAreJoinedAnewWithAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &forgetful{}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		d.full = cancel
		_, err := Contend(ctx, d, options(bubbleClock()), 2*time.Second, func(Waiter) {})
		if err == nil || d.joins > 20 {
			t.Errorf("%d keys in two seconds, %v", d.joins, err)
		}
	})
}

// forgetful loses every place before its grant.
type forgetful struct {
	service
	joins int
	full  func()
}

func (f *forgetful) Join(ctx context.Context) (Place, error) {
	if f.joins++; f.joins > 1000 {
		f.full()
	}
	p, err := f.service.Join(ctx)
	f.remove(p.(*place))
	return &lostPlace{p}, err
}

type lostPlace struct{ Place }

func (*lostPlace) Await(context.Context, func(Version, clock.Stamp)) error { return ErrPlaceLost }

// E2: where nobody knows what ran before, nobody can say that it was drained.
func TestReleaseAfterAnUnknownHolder(t *testing.T) {
	for name, c := range map[string]struct {
		never bool
		want  Phase
	}{"unknown": {false, Dead}, "nobody ever ran": {true, Drained}} {
		t.Run(name, func(t *testing.T) {
			within(t, func(_ *service, o *Options) {
				o.NeverRan = func(context.Context) bool { return c.never }
			}, func(s *service, ct *contender) {
				<-ct.leased
				if phase, err := ct.t.Release(context.Background(), Drained, false); phase != c.want || err != nil {
					t.Errorf("released as %s (%v) without having started anything: expected %s", phase, err, c.want)
				}
			})
		})
	}
}

// T7: a service that acknowledges nothing after the hold-off must not keep the key, and everybody behind it
// waiting, for ever.
func TestFirstLeaseIsBounded(t *testing.T) {
	within(t, func(s *service, o *Options) {
		s.put(t, Record{Phase: Drained, Token: 1})
		s.fault = func(*place, int) fault { return fault{refuse: true} }
	}, func(_ *service, c *contender) {
		began := time.Now()
		select {
		case err := <-c.lost:
			if took := time.Since(began); !errors.Is(err, ErrUnreachable) || took > DefaultTiming().Hold+5*time.Second {
				t.Errorf("lost after %v by %v: expected unreachable, after a hold", took, err)
			}
		case <-time.After(time.Hour):
			t.Error("nothing was acknowledged for an hour, and the key is kept")
		}
	})
}

// A service that does not answer within the wait is unreachable, in whichever request that shows, and
// however bare the driver's error is.
func TestSilentServiceIsUnreachable(t *testing.T) {
	for name, d := range map[string]*silent{"join": {inJoin: true}, "look": {}} {
		for _, limit := range []time.Duration{0, 3 * time.Second} {
			t.Run(name+" "+limit.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := &silent{inJoin: d.inJoin, service: service{}}
					if _, err := s.service.Join(context.Background()); err != nil {
						t.Fatal(err)
					}
					_, err := Contend(context.Background(), s, options(bubbleClock()), limit, func(Waiter) {})
					if !errors.Is(err, ErrUnreachable) {
						t.Errorf("%v: expected unreachable", err)
					}
				})
			})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		f := &forgetful{full: func() {}}
		if _, _, err := Init(context.Background(), f, options(bubbleClock())); !errors.Is(err, ErrUnreachable) {
			t.Errorf("init that lost its place: %v", err)
		}
	})
}

// silent answers no look, and no join if so set.
type silent struct {
	service
	inJoin bool
}

func (s *silent) Join(ctx context.Context) (Place, error) {
	if s.inJoin {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.service.Join(ctx)
}

func (s *silent) View(ctx context.Context) (View, error) {
	<-ctx.Done()
	return View{}, ctx.Err()
}

// T1: our own token on record before our first write is another path's: no shortcut ends that wait.
func TestOwnTokenOnRecordTakesNoShortcut(t *testing.T) {
	for name, c := range map[string]struct {
		token fence.Token
		want  time.Duration
	}{"earlier holder": {1, 0}, "own token": {101, 20 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			within(t, func(s *service, o *Options) {
				s.put(t, Record{Phase: Running, Token: c.token, WaitMS: 20000, Domain: &Domain{PIDNS: 1}})
				o.ProvenEmpty = func(string, Domain) (bool, string) { return true, "empty" }
			}, func(_ *service, ct *contender) {
				<-ct.leased
				if got := ct.when(0).HolderSince(ct.t.observed); got < c.want || got > c.want+time.Second {
					t.Errorf("started %v after the read: expected %v", got, c.want)
				}
			})
		})
	}
}

// Whatever instant a phase of the old holder is cut at, a successor on the same boot takes the shortcut by
// the domain that is really in use, or not at all.
func TestShortcutNeedsARunningRecordWithADomain(t *testing.T) {
	for name, r := range map[string]Record{
		"domain withdrawn": {Phase: Running, Token: 1, WaitMS: 20000},
		"waiting":          {Phase: Waiting, Token: 1, WaitMS: 20000, Domain: &Domain{PIDNS: 1}},
		"settle owed":      {Phase: Running, Token: 1, WaitMS: 20000, SettleMS: 1000, Domain: &Domain{PIDNS: 1}},
		"others owed":      {Phase: Running, Token: 1, WaitMS: 20000, Owes: []Owed{{Unknown: true}}, Domain: &Domain{PIDNS: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(s *service, o *Options) {
				s.put(t, r)
				o.ProvenEmpty = func(string, Domain) (bool, string) { return true, "empty" }
			}, func(_ *service, ct *contender) {
				<-ct.leased
				if got := ct.when(0).HolderSince(ct.t.observed); got < 20*time.Second {
					t.Errorf("started %v after the read: expected the whole hold", got)
				}
			})
		})
	}
}

// E7: a running record names the undrained volumes that were taken over, until settle was waited for them.
func TestRunningNamesWhatWasTakenOver(t *testing.T) {
	for name, c := range map[string]struct {
		settle time.Duration
		want   []string
	}{
		"not settled": {0, []string{"ours", "theirs"}},
		"settled":     {time.Second, []string{"ours"}},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(s *service, o *Options) {
				s.put(t, Record{Phase: Dead, Token: 1, Volumes: []string{"theirs"}})
				o.Volumes, o.Timing.Settle = []string{"ours"}, c.settle
			}, func(s *service, ct *contender) {
				<-ct.leased
				w := s.written()
				got := w[len(w)-1]
				if names := undrained(append(got.Owes, Owed{Volumes: got.Volumes})); got.Phase != Running || !slices.Equal(names, c.want) {
					t.Errorf("%s names %v: expected %v", got.Phase, names, c.want)
				}
			})
		})
	}
}

func (t *Tenure) isLost() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.lost != nil
}

// What came after the grant is on record before anything may write there; a release as dead names those alone
// that are not drained, one as drained none.
func TestVolumesThatChange(t *testing.T) {
	for _, c := range []struct {
		phase Phase
		want  []string
	}{{Dead, []string{"left"}}, {Drained, nil}} {
		t.Run(string(c.phase), func(t *testing.T) {
			within(t, func(s *service, o *Options) {
				s.put(t, Record{Phase: Drained, Token: 1})
				o.Volumes = []string{"first"}
			}, func(s *service, ct *contender) {
				<-ct.leased
				ct.t.SetVolumes([]string{"first", "left"})
				<-time.After(5 * time.Second) // some heartbeats
				w := s.written()
				if got := w[len(w)-1].Volumes; !slices.Equal(got, []string{"first", "left"}) {
					t.Errorf("running names %v", got)
				}
				ct.t.SetVolumes([]string{"left"})
				if _, err := ct.t.Release(context.Background(), c.phase, true); err != nil {
					t.Fatal(err)
				}
				w = s.written()
				if got := w[len(w)-1]; got.Phase != c.phase || !slices.Equal(got.Volumes, c.want) {
					t.Errorf("%s names %v, expected %v", got.Phase, got.Volumes, c.want)
				}
			})
		})
	}
}
